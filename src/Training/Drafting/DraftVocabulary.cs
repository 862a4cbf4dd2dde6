using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Training.Files;

namespace Understory.Training.Drafting;

/// <summary>
/// The target's most frequent tokens as the draft's own vocabulary: training is faster by as much as the head is smaller. What is left
/// out is written with what is kept, every byte of which is; the server finds the way back by the tokens' bytes.
/// </summary>
internal sealed class DraftVocabulary
{
    /// <summary>Chosen: of texts of one kind, 98 to 99 % of the tokens are among so many.</summary>
    public const int Size = 8192;

    /// <param name="tokens">That the target's texts are of.</param>
    /// <exception cref="TrainingException">The target's tokenizer cannot be cut.</exception>
    public DraftVocabulary(LanguageModel target, int size, IEnumerable<int> tokens)
    {
        TokenizerCutter cutter = TokenizerCutter.Of(target.Path, target.Config)
            ?? throw new TrainingException($"The tokenizer of {target.Path} has no merges: no tokens can be left out of it.");
        long[] counts = new long[target.Config.VocabularySize];
        foreach (int token in tokens)
        {
            counts[token]++;
        }

        HashSet<int> needed = [.. Needed(target, cutter)];
        int[] kept = [.. cutter.Ids.OrderByDescending(needed.Contains).ThenByDescending(id => counts[id]).Take(size)];
        Array.Sort(kept);
        Tokenizer = cutter.Cut(kept);
        ModelConfig config = target.Config with
        {
            VocabularySize = size,
            EosTokenIds = Tokenizer.EndIds,
            BosTokenId = Tokenizer.BosId,
        };
        Map = new VocabularyMap((target.Tokenizer, target.Config), (Tokenizer.Tokenizer, config));
    }

    /// <summary>That of the draft's files.</summary>
    public CutTokenizer Tokenizer { get; }

    /// <summary>Between the target's tokens and the draft's, as the server makes it of the two files.</summary>
    public VocabularyMap Map { get; }

    /// <summary>How many tokens a draft of this target should have; null: all, since few are more or its tokenizer cannot be cut.</summary>
    public static int? SizeFor(LanguageModel target) =>
        target.Config.VocabularySize >= 2 * Size && TokenizerCutter.Of(target.Path, target.Config) is { } cutter
            && Needed(target, cutter).Count() <= Size / 2 ? Size : null;

    /// <summary>Special tokens, and those of one byte.</summary>
    private static IEnumerable<int> Needed(LanguageModel target, TokenizerCutter cutter) =>
        cutter.Ids.Where(id => cutter.IsSpecial(id) || target.Tokenizer.TokenBytes(id).Length == 1);
}
