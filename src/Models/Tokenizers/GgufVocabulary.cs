using Understory.Models.Formats;

namespace Understory.Models.Tokenizers;

/// <summary>The vocabulary in a GGUF file's metadata (keys <c>tokenizer.ggml.*</c>).</summary>
/// <param name="Model"><c>gpt2</c>: byte-level byte-pair encoding; <c>llama</c>: SentencePiece's; <c>gemma4</c>: merges over
/// characters.</param>
/// <param name="Pre">Name of the pre-tokenizer of a <c>gpt2</c> vocabulary; null or "default" if the file names none.</param>
/// <param name="Tokens">Texts by id.</param>
/// <param name="Scores">By id; of <c>llama</c> vocabularies: the merge that makes the token of highest score goes first.</param>
/// <param name="TokenTypes">By id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Null: all normal.</param>
/// <param name="Merges">"left right", in order; of <c>gpt2</c> and <c>gemma4</c> vocabularies.</param>
/// <param name="AddBos">Put <paramref name="BosId"/> before a text.</param>
/// <param name="AddEos">Put <paramref name="EosId"/> after a text.</param>
/// <param name="AddSpacePrefix">A <c>llama</c> text begins with a blank that is not written.</param>
public sealed record GgufVocabulary(
    string Model,
    string? Pre,
    string[] Tokens,
    float[]? Scores,
    int[]? TokenTypes,
    string[]? Merges,
    int? BosId,
    int? EosId,
    int? UnknownId,
    bool AddBos,
    bool AddEos,
    bool AddSpacePrefix)
{
    private const string Prefix = "tokenizer.ggml.";

    /// <summary>Tokens that end a turn in one family or another: files name but some of them by keys (llama.cpp's list).</summary>
    private static readonly HashSet<string> _turnEnds =
    [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>", "<|endoftext|>", "</s>",
        "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
        "<\uFF5Cend\u2581of\u2581sentence\uFF5C>", "[e~[",
        // What code models fill gaps with.
        "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>",
        "<|file_sep|>",
    ];

    /// <summary>Tokens that end a text, in the order of their ids: those that keys name, and known turn ends by their text.</summary>
    public IReadOnlyList<int> EndIds => Ends(Tokens, [EosId, EotId, EomId]);

    /// <summary>The token that ends a turn, where a key names it.</summary>
    public int? EotId { get; init; }

    /// <summary>The token that ends a message which goes on, where a key names it.</summary>
    public int? EomId { get; init; }

    /// <exception cref="InvalidDataException">A key is missing or of another type.</exception>
    internal static GgufVocabulary Read(GgufMetadata metadata)
    {
        string model = metadata.Get<string>(Prefix + "model");
        string? pre = Optional<string>("pre");
        bool pieces = model == "llama";
        bool addBos = pieces || model == "gemma4" || (model == "gpt2" && GgufPreTokenizers.Find(pre).AddBos);
        string[] tokens = metadata.Get<string[]>(Prefix + "tokens");
        return new GgufVocabulary(
            model,
            pre,
            tokens,
            Optional<double[]>("scores") is { } scores ? Array.ConvertAll(scores, score => (float)score) : null,
            Optional<long[]>("token_type") is { } types ? Array.ConvertAll(types, type => (int)type) : null,
            Optional<string[]>("merges"),
            // SentencePiece's own numbers, where a file names none.
            Id("bos", pieces ? 1 : null),
            Id("eos", pieces ? 2 : null),
            Id("unknown", pieces ? 0 : null),
            // Gemma 4 files say false and mean true.
            model == "gemma4" || metadata.Get(Prefix + "add_bos_token", addBos),
            metadata.Get(Prefix + "add_eos_token", false),
            metadata.Get(Prefix + "add_space_prefix", pieces))
        {
            EotId = Id("eot", null),
            EomId = Id("eom", null),
        };

        T? Optional<T>(string key)
            where T : class => metadata.Contains(Prefix + key) ? metadata.Get<T>(Prefix + key) : null;

        int? Id(string role, int? usual) => metadata.Contains($"{Prefix}{role}_token_id") ? metadata.GetCount($"{Prefix}{role}_token_id")
            : usual < tokens.Length ? usual : null;
    }

    private static int[] Ends(string[] tokens, int?[] named)
    {
        var ends = new SortedSet<int>(named.OfType<int>());
        var byText = new Dictionary<string, int>();
        for (int id = 0; id < tokens.Length; id++)
        {
            if (_turnEnds.Contains(tokens[id]))
            {
                byText.TryAdd(tokens[id], id);
                ends.Add(id);
            }
        }

        // Where calls and answers have ends of their own, these end parts of a turn only.
        bool isHarmony = byText.ContainsKey("<|return|>") && byText.ContainsKey("<|call|>");
        bool isSolar = byText.ContainsKey("<|calls|>") && byText.ContainsKey("<|flush|>");
        Drop("<|end|>", isHarmony || isSolar);
        Drop("</s>", byText.ContainsKey("<|tool_response>"));
        return [.. ends];

        void Drop(string text, bool drop)
        {
            if (drop && byText.TryGetValue(text, out int id))
            {
                ends.Remove(id);
            }
        }
    }
}
