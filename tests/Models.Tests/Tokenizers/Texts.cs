using FsCheck;
using FsCheck.Fluent;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>Random texts of the kinds that tokenizers stumble over: blanks, marks, astral letters, special tokens.</summary>
internal static class Texts
{
    private static readonly string[] s_pieces =
    [
        "a", "e", "r", "t", "The", "tree", " tree", "S", "'s", "'S", "'ll", "'RE", "'\u017F", "'", "don't", "0", "7", "12", "\u0663",
        "\u00BD", "\u2167",
        " ", "  ", "   ", "\t", "\n", "\r\n", "\u00A0", "\u2003", "\u3000", "\u0085", ".", "...", "!?", "=>", "_", "#", "\"", "$", "\u00E9",
        "e\u0301", "\u0323",
        "\u00DF", "\u0413", "\u6728", "\uD55C", "\u1112\u1161", "\u0E01\u0E33", "\u2581", "\u200B", "\uFEFF", "\0", "\u007F", "\uFFFD",
        "\U0001F600", "\U0001F3FD",
        "\U00010400", "\U0001D7D8", "\U0001E900", "<", "|>", "<|turn|>", "<|begin|>", "<s>", "<|user|>", "<tool>", "<pad>", "<0x41>",
    ];

    /// <summary>Well-formed texts.</summary>
    public static Arbitrary<string> WellFormed() =>
        Gen.Elements(s_pieces).ListOf().Select(string.Concat).ToArbitrary();

    /// <summary>Texts with lone surrogates among them.</summary>
    public static Arbitrary<string> Any() =>
        Gen.Elements([.. s_pieces, "\uD83D", "\uDE00"]).ListOf().Select(string.Concat).ToArbitrary();
}
