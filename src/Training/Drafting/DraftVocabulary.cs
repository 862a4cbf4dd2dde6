using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Tokenizers;

namespace Understory.Training.Drafting;

/// <summary>
/// The target's most frequent tokens as the draft's own vocabulary: training is faster by as much as the head is smaller. What is left
/// out is written with what is kept, every byte of which is; the server finds the way back by the tokens' bytes.
/// </summary>
internal sealed class DraftVocabulary
{
    /// <summary>Chosen: of texts of one kind, 98 to 99 % of the tokens are among so many.</summary>
    public const int Size = 8192;

    private const string Prefix = "tokenizer.ggml.";
    private const long UnusedType = 5;
    private const long NormalType = 1;

    private readonly int[] _kept;

    /// <param name="tokens">That the target's texts are of.</param>
    public DraftVocabulary(LanguageModel target, int size, IEnumerable<int> tokens)
    {
        using Gguf file = Gguf.Open(target.Path);
        string[] texts = file.Metadata.Get<string[]>(Prefix + "tokens");
        long[] counts = new long[texts.Length];
        foreach (int token in tokens)
        {
            counts[token]++;
        }

        HashSet<int> needed = [.. Needed(target, file.Metadata)];
        int[] kept = [.. Enumerable.Range(0, texts.Length).OrderByDescending(id => needed.Contains(id)).ThenByDescending(id => counts[id])
            .Take(size)];
        Array.Sort(kept);
        _kept = kept;
        Keys = Trimmed(file.Metadata, texts);
        var vocabulary = GgufVocabulary.Read(new GgufMetadata(target.Path, Keys));
        ModelConfig config = target.Config with
        {
            VocabularySize = size,
            EosTokenIds = vocabulary.EndIds,
            BosTokenId = vocabulary.BosId,
        };
        Map = new VocabularyMap((target.Tokenizer, target.Config), (Tokenizer.FromGguf(vocabulary), config));
    }

    /// <summary>The tokenizer's keys of the draft's file.</summary>
    public Dictionary<string, object> Keys { get; }

    /// <summary>Between the target's tokens and the draft's, as the server makes it of the two files.</summary>
    public VocabularyMap Map { get; }

    /// <summary>How many tokens a draft of this target should have; null: all, since few are more or its tokenizer cannot be cut.</summary>
    public static int? SizeFor(LanguageModel target)
    {
        if (!File.Exists(target.Path) || target.Config.VocabularySize < 2 * Size)
        {
            return null;
        }

        using Gguf file = Gguf.Open(target.Path);
        return Needed(target, file.Metadata).Count() <= Size / 2 ? Size : null;
    }

    /// <summary>Special tokens, and those of one byte.</summary>
    private static IEnumerable<int> Needed(LanguageModel target, GgufMetadata metadata)
    {
        long[] types = metadata.Get(Prefix + "token_type", Array.Empty<long>());
        return Enumerable.Range(0, target.Config.VocabularySize).Where(id =>
            (id < types.Length && types[id] is not (NormalType or UnusedType)) || target.Tokenizer.TokenBytes(id).Length == 1);
    }

    private Dictionary<string, object> Trimmed(GgufMetadata metadata, string[] texts)
    {
        HashSet<string> left = [.. _kept.Select(id => texts[id])];
        var keys = new Dictionary<string, object>();
        foreach ((string key, object value) in metadata.Values.Where(pair => pair.Key.StartsWith("tokenizer.", StringComparison.Ordinal)))
        {
            switch (value)
            {
                case string[] merges when key == Prefix + "merges":
                    keys[key] = Array.FindAll(merges, merge => Possible(merge, left));
                    break;
                case string[] all when all.Length == texts.Length:
                    keys[key] = Array.ConvertAll(_kept, id => all[id]);
                    break;
                case long[] all when all.Length == texts.Length:
                    keys[key] = Array.ConvertAll(_kept, id => all[id]);
                    break;
                case double[] all when all.Length == texts.Length:
                    keys[key] = Array.ConvertAll(_kept, id => all[id]);
                    break;
                case long id when key.EndsWith("_token_id", StringComparison.Ordinal):
                    if (Array.BinarySearch(_kept, (int)id) is >= 0 and var place)
                    {
                        keys[key] = (long)place;
                    }

                    break;
                default:
                    keys[key] = value;
                    break;
            }
        }

        return keys;
    }

    /// <summary>Both halves and what they make are there.</summary>
    private static bool Possible(string merge, HashSet<string> left)
    {
        int blank = merge.IndexOf(' ', 1);
        return blank > 0 && left.Contains(merge[..blank]) && left.Contains(merge[(blank + 1)..])
            && left.Contains(merge.Remove(blank, 1));
    }
}
