namespace Understory.Models.Tokenizers;

/// <summary>The vocabulary in a GGUF file's metadata (keys <c>tokenizer.ggml.*</c>).</summary>
/// <param name="Model"><c>gpt2</c>: byte-level byte-pair encoding; <c>llama</c>: SentencePiece's.</param>
/// <param name="Pre">Name of the pre-tokenizer of a <c>gpt2</c> vocabulary; null or "default" if the file names none.</param>
/// <param name="Tokens">Texts by id.</param>
/// <param name="Scores">By id; of <c>llama</c> vocabularies: the merge that makes the token of highest score goes first.</param>
/// <param name="TokenTypes">By id: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Null: all normal.</param>
/// <param name="Merges">"left right", in order; of <c>gpt2</c> vocabularies.</param>
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
    bool AddSpacePrefix);
