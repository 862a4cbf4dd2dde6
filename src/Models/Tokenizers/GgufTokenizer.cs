using System.Text;
using Understory.Models.Tokenizers.Normalization;

namespace Understory.Models.Tokenizers;

/// <summary>Builds a tokenizer from GGUF metadata, so that it gives what the model's own tokenizer.json would.</summary>
internal static class GgufTokenizer
{
    private const int UnknownType = 2;
    private const int ControlType = 3;
    private const int UserDefinedType = 4;
    private const int UnusedType = 5;
    private const int ByteType = 6;

    public static TokenizerParts Read(GgufVocabulary source)
    {
        Vocabulary vocabulary = ReadTokens(source);
        return source.Model switch
        {
            "gpt2" => ByteLevel(source, vocabulary),
            "llama" => SentencePiece(source, vocabulary),
            "gemma4" => Pieces(source, vocabulary),
            _ => throw new InvalidDataException($"tokenizer.ggml.model: {source.Model} is not supported, only gpt2, llama and gemma4"),
        };
    }

    private static Vocabulary ReadTokens(GgufVocabulary source)
    {
        Check("token_type", source.TokenTypes?.Length);
        Check("scores", source.Scores?.Length);
        if (source.Tokens.Length > Vocabulary.IdLimit)
        {
            throw new InvalidDataException($"tokenizer.ggml.tokens: {source.Tokens.Length} tokens are too many");
        }

        var vocabulary = new Vocabulary();
        for (int id = 0; id < source.Tokens.Length; id++)
        {
            // Unused tokens are padding, which the model's own tokenizer does not have.
            bool isAdded = Type(source, id) == UnusedType || vocabulary.TryAdd(Encoding.UTF8.GetBytes(source.Tokens[id]), id);
            if (!isAdded)
            {
                throw new InvalidDataException($"tokenizer.ggml.tokens[{id}]: '{source.Tokens[id]}' is there twice");
            }
        }

        foreach ((string key, int? id) in new[] { ("bos", source.BosId), ("eos", source.EosId), ("unknown", source.UnknownId) })
        {
            if (id is int given && !vocabulary.Contains(given))
            {
                throw new InvalidDataException($"tokenizer.ggml.{key}_token_id: {given} is not in the vocabulary");
            }
        }

        return vocabulary;

        void Check(string key, int? length)
        {
            if (length is int given && given != source.Tokens.Length)
            {
                throw new InvalidDataException($"tokenizer.ggml.{key}: {given} values for {source.Tokens.Length} tokens");
            }
        }
    }

    private static TokenizerParts ByteLevel(GgufVocabulary source, Vocabulary vocabulary)
    {
        GgufPreTokenizer pre = GgufPreTokenizers.Find(source.Pre);
        return Common(source, vocabulary) with
        {
            Merges = ReadMerges(source, vocabulary),
            Encoding = new BytePairOptions(ByteLevel: true, ByteFallback: false, source.UnknownId, FuseUnknown: false, pre.IgnoreMerges),
            Normalizer = pre.Nfc ? new UnicodeNormalizer(NormalizationForm.FormC) : null,
            PreTokenizer = pre.Words,
            Decoder = new DecoderOptions([], ByteLevel: true, ByteFallback: false, DependsOnFirst: false),
        };
    }

    /// <summary>Merges over characters, as Gemma 4 has them: blanks written out, bytes for what the vocabulary lacks.</summary>
    private static TokenizerParts Pieces(GgufVocabulary source, Vocabulary vocabulary) => Common(source, vocabulary) with
    {
        Merges = ReadMerges(source, vocabulary),
        Encoding = new BytePairOptions(ByteLevel: false, ByteFallback: true, source.UnknownId, FuseUnknown: true, IgnoreMerges: false),
        Normalizer = new ReplaceNormalizer(" ", "\u2581"),
        Decoder = new DecoderOptions(
            [(token, _) => token.Replace('\u2581', ' ')], ByteLevel: false, ByteFallback: true, DependsOnFirst: false),
    };

    private static TokenizerParts SentencePiece(GgufVocabulary source, Vocabulary vocabulary)
    {
        INormalizer blanks = new ReplaceNormalizer(" ", "\u2581");
        return Common(source, vocabulary) with
        {
            Merges = MergesByScore(source, vocabulary),
            Encoding = new BytePairOptions(ByteLevel: false, ByteFallback: true, source.UnknownId, FuseUnknown: true, IgnoreMerges: false),
            Normalizer = source.AddSpacePrefix ? new NormalizerSequence([new PrependNormalizer("\u2581"), blanks]) : blanks,
            Decoder = new DecoderOptions(
                [(token, _) => token.Replace('\u2581', ' ')], ByteLevel: false, ByteFallback: true, DependsOnFirst: false,
                Strip: ' ', StripCount: source.AddSpacePrefix ? 1 : 0),
        };
    }

    private static TokenizerParts Common(GgufVocabulary source, Vocabulary vocabulary)
    {
        // What ends a turn is control, whatever type a converter has given it.
        HashSet<int> ends = [.. source.EndIds];
        bool IsTurnEnd(int id) => Type(source, id) != UnusedType && ends.Contains(id);
        return new()
        {
            Vocabulary = vocabulary,
            Merges = [],
            Encoding = new BytePairOptions(false, false, null, false, false),
            Decoder = DecoderOptions.Joining,
            AddedTokens =
            [
                .. Enumerable.Range(0, source.Tokens.Length)
                    .Where(id => Type(source, id) is UnknownType or ControlType or UserDefinedType || IsTurnEnd(id))
                    .Select(id => new AddedToken(
                        id, source.Tokens[id], StripLeft: false, StripRight: false, Normalized: false, SingleWord: false,
                        Special: Type(source, id) is UnknownType or ControlType || IsTurnEnd(id))),
            ],
            Prefix = source is { AddBos: true, BosId: int bos } ? [bos] : [],
            Suffix = source is { AddEos: true, EosId: int eos } ? [eos] : [],
            BosId = source.BosId,
            EosId = source.EosId,
        };
    }

    private static List<Merge> ReadMerges(GgufVocabulary source, Vocabulary vocabulary)
    {
        string[] merges = source.Merges ?? throw new InvalidDataException("tokenizer.ggml.merges: missing");
        var read = new List<Merge>(merges.Length);
        for (int rank = 0; rank < merges.Length; rank++)
        {
            int blank = merges[rank].IndexOf(' ', 1 <= merges[rank].Length ? 1 : 0);
            if (blank < 0)
            {
                throw new InvalidDataException($"tokenizer.ggml.merges[{rank}]: '{merges[rank]}' is not two tokens");
            }

            ReadOnlySpan<char> left = merges[rank].AsSpan(0, blank);
            ReadOnlySpan<char> right = merges[rank].AsSpan(blank + 1);
            bool areKnown = vocabulary.TryFind(left, out int leftId) & vocabulary.TryFind(right, out int rightId)
                & vocabulary.TryFind(string.Concat(left, right), out int merged);
            read.Add(areKnown
                ? new Merge(leftId, rightId, merged, rank)
                : throw new InvalidDataException(
                    $"tokenizer.ggml.merges[{rank}]: '{merges[rank]}' names tokens that the vocabulary lacks"));
        }

        return read;
    }

    /// <summary>
    /// SentencePiece merges any two tokens that give a third, the third of highest score first: every way to cut a token in two
    /// is a merge, and equal scores are one rank.
    /// </summary>
    private static List<Merge> MergesByScore(GgufVocabulary source, Vocabulary vocabulary)
    {
        float[] scores = source.Scores ?? throw new InvalidDataException("tokenizer.ggml.scores: missing");
        int[] order = [.. Enumerable.Range(0, scores.Length).Where(id => Type(source, id) is 1 or UserDefinedType)];
        Array.Sort(order, (a, b) => scores[b].CompareTo(scores[a]));

        var merges = new List<Merge>();
        int rank = -1;
        float last = float.NaN;
        foreach (int id in order)
        {
            if (scores[id] != last)
            {
                last = scores[id];
                rank++;
            }

            ReadOnlySpan<byte> text = vocabulary.Text(id);
            for (int cut = 1; cut < text.Length; cut++)
            {
                if (text[cut] is < 0x80 or >= 0xC0
                    && vocabulary.TryFind(text[..cut], out int left) && vocabulary.TryFind(text[cut..], out int right)
                    && Type(source, left) is 1 or UserDefinedType && Type(source, right) is 1 or UserDefinedType)
                {
                    merges.Add(new Merge(left, right, id, rank));
                }
            }
        }

        return merges;
    }

    private static int Type(GgufVocabulary source, int id) => source.TokenTypes?[id] ?? 1;
}
