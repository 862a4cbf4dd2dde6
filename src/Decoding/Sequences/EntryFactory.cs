using Understory.Decoding.Drafters;
using Understory.Models.Architecture;

namespace Understory.Decoding.Sequences;

/// <summary>Makes the caches of a sequence, target's and draft's, and says what memory they take.</summary>
/// <param name="spare">Slots of the target's cache beyond the context: the rows of a pass.</param>
internal sealed class EntryFactory(Transformer target, IDraftModel? draft, int contextLength, int spare)
{
    public CacheEntry Create()
    {
        KvCache cache = target.CreateCache(contextLength, spare);
        return new CacheEntry { Target = cache, Draft = draft?.CreateCache(cache, Math.Min(contextLength, draft.ContextLength)) };
    }

    /// <summary>How much memory an entry takes that holds so many tokens.</summary>
    public Func<int, long> Bytes()
    {
        using CacheEntry sample = Create();
        return tokens => sample.Target.BytesFor(tokens) + (sample.Draft?.BytesFor(tokens) ?? 0);
    }
}
