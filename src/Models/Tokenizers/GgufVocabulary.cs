using Understory.Models.Formats;

namespace Understory.Models.Tokenizers;

/// <summary>The vocabulary in a GGUF file's metadata (keys <c>tokenizer.ggml.*</c>).</summary>
/// <param name="Model">
/// <c>gpt2</c>: byte-level byte-pair encoding; <c>llama</c>: SentencePiece's; <c>gemma4</c>: SentencePiece's pieces, merged in the order
/// that is given.
/// </param>
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
    /// <exception cref="InvalidDataException">A key is missing or of another type.</exception>
    internal static GgufVocabulary Read(GgufMetadata metadata)
    {
        const string prefix = "tokenizer.ggml.";
        string model = metadata.Get<string>(prefix + "model");
        bool pieces = model == "llama";
        return new GgufVocabulary(
            model,
            Optional<string>("pre"),
            metadata.Get<string[]>(prefix + "tokens"),
            Optional<double[]>("scores") is { } scores ? Array.ConvertAll(scores, score => (float)score) : null,
            Optional<long[]>("token_type") is { } types ? Array.ConvertAll(types, type => (int)type) : null,
            Optional<string[]>("merges"),
            Id("bos"),
            Id("eos"),
            Id("unknown"),
            metadata.Get(prefix + "add_bos_token", pieces),
            metadata.Get(prefix + "add_eos_token", false),
            metadata.Get(prefix + "add_space_prefix", pieces));

        T? Optional<T>(string key)
            where T : class => metadata.Contains(prefix + key) ? metadata.Get<T>(prefix + key) : null;

        int? Id(string role) => metadata.Contains($"{prefix}{role}_token_id") ? metadata.GetCount($"{prefix}{role}_token_id") : null;
    }
}
