using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>
/// How a model was taught to write what stands between a prefix and a suffix: <c>PREFIX before SUFFIX after MIDDLE</c>, or with the suffix
/// first and no word for the middle.
/// </summary>
public sealed class FillInTheMiddle
{
    /// <summary>The special tokens of the families that have them.</summary>
    private static readonly Words[] Known =
    [
        // Qwen2.5-Coder, CodeGemma
        new("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", []),
        // StarCoder, Granite Code
        new("<fim_prefix>", "<fim_suffix>", "<fim_middle>", []),
        // SantaCoder
        new("<fim-prefix>", "<fim-suffix>", "<fim-middle>", []),
        // DeepSeek-Coder
        new("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", []),
        // Code Llama, which ends with a token that its generation config does not name
        new("▁<PRE>", "▁<SUF>", "▁<MID>", ["<EOT>"]),
        new("<PRE>", "<SUF>", "<MID>", ["<EOT>"]),
        // Codestral
        new("[PREFIX]", "[SUFFIX]", null, []),
    ];

    private readonly int _prefix;
    private readonly int _suffix;
    private readonly int? _middle;

    private FillInTheMiddle(int prefix, int suffix, int? middle, IReadOnlyList<string> stops)
    {
        (_prefix, _suffix, _middle, Stops) = (prefix, suffix, middle, stops);
    }

    /// <summary>Stop strings beside the request's own.</summary>
    public IReadOnlyList<string> Stops { get; }

    /// <returns>Null: the tokenizer has no such tokens.</returns>
    public static FillInTheMiddle? Find(Tokenizer tokenizer)
    {
        foreach (Words words in Known)
        {
            int middle = -1;
            if (tokenizer.TryGetId(words.Prefix, out int prefix) && tokenizer.TryGetId(words.Suffix, out int suffix)
                && (words.Middle is null || tokenizer.TryGetId(words.Middle, out middle)))
            {
                return new FillInTheMiddle(prefix, suffix, words.Middle is null ? null : middle, words.Stops);
            }
        }

        return null;
    }

    /// <param name="begin">What begins any text of this model.</param>
    public int[] Join(ReadOnlySpan<int> begin, ReadOnlySpan<int> before, ReadOnlySpan<int> after) => _middle is { } middle
        ? [.. begin, _prefix, .. before, _suffix, .. after, middle]
        : [.. begin, _suffix, .. after, _prefix, .. before];

    /// <param name="Middle">Null: the suffix comes first, and the answer follows the prefix.</param>
    private sealed record Words(string Prefix, string Suffix, string? Middle, string[] Stops);
}
