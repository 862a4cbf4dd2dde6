using System.Globalization;

namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>What pre-tokenizer patterns ask of a code point. A code point without any flag is what patterns call "other".</summary>
[Flags]
internal enum CodePointKind : byte
{
    Other = 0,

    /// <summary><c>\p{L}</c></summary>
    Letter = 1,

    /// <summary><c>\p{N}</c></summary>
    Number = 2,

    /// <summary><c>\s</c>: the property White_Space.</summary>
    Space = 4,

    /// <summary><c>[\r\n]</c>; always together with <see cref="Space"/>.</summary>
    LineEnd = 8,

    /// <summary><c>\w</c>: Alphabetic, marks, decimal digits, connectors, joiners.</summary>
    Word = 16,

    /// <summary>ASCII punctuation and the categories <c>P*</c>.</summary>
    Punctuation = 32,
}

/// <summary>Kinds of code points in UTF-16 text. A lone surrogate is <see cref="CodePointKind.Other"/>, as U+FFFD would be.</summary>
internal static class CodePoints
{
    private static readonly CodePointKind[] s_basicPlane = BuildBasicPlane();

    /// <summary>The kind of the code point that begins at <paramref name="index"/>, and its length in UTF-16 units.</summary>
    public static CodePointKind KindAt(ReadOnlySpan<char> text, int index, out int length)
    {
        char c = text[index];
        if (char.IsHighSurrogate(c) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
        {
            length = 2;
            return Classify(char.ConvertToUtf32(c, text[index + 1]));
        }

        length = 1;
        return s_basicPlane[c];
    }

    /// <summary>The kind of the code point that ends just before <paramref name="end"/>.</summary>
    public static CodePointKind KindBefore(ReadOnlySpan<char> text, int end)
    {
        bool pair = end >= 2 && char.IsLowSurrogate(text[end - 1]) && char.IsHighSurrogate(text[end - 2]);
        return KindAt(text, end - (pair ? 2 : 1), out _);
    }

    /// <summary>The kind of a UTF-16 unit on its own: cheap, and exact for everything that cannot be astral (spaces, line ends).</summary>
    public static CodePointKind KindOf(char c) => s_basicPlane[c];

    /// <summary>The first index from <paramref name="start"/> on whose code point has none of <paramref name="kinds"/>.</summary>
    public static int SkipAny(ReadOnlySpan<char> text, int start, CodePointKind kinds)
    {
        while (start < text.Length && (KindAt(text, start, out int length) & kinds) != 0)
        {
            start += length;
        }

        return start;
    }

    /// <summary>The first index from <paramref name="start"/> on whose code point has one of <paramref name="kinds"/>.</summary>
    public static int SkipNone(ReadOnlySpan<char> text, int start, CodePointKind kinds)
    {
        while (start < text.Length && (KindAt(text, start, out int length) & kinds) == 0)
        {
            start += length;
        }

        return start;
    }

    private static CodePointKind[] BuildBasicPlane()
    {
        var kinds = new CodePointKind[0x10000];
        for (int c = 0; c < kinds.Length; c++)
        {
            kinds[c] = Classify(c);
        }

        return kinds;
    }

    private static CodePointKind Classify(int codePoint)
    {
        UnicodeCategory category = CharUnicodeInfo.GetUnicodeCategory(codePoint);
        CodePointKind kind = category switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter
                or UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter => CodePointKind.Letter | CodePointKind.Word,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber => CodePointKind.Number | CodePointKind.Word,
            UnicodeCategory.OtherNumber => CodePointKind.Number,
            UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => CodePointKind.Word,
            UnicodeCategory.ConnectorPunctuation => CodePointKind.Punctuation | CodePointKind.Word,
            UnicodeCategory.DashPunctuation or UnicodeCategory.OpenPunctuation or UnicodeCategory.ClosePunctuation
                or UnicodeCategory.InitialQuotePunctuation or UnicodeCategory.FinalQuotePunctuation
                or UnicodeCategory.OtherPunctuation => CodePointKind.Punctuation,
            _ => CodePointKind.Other,
        };

        // Symbols that are Alphabetic (circled and squared letters), and the joiners.
        if (codePoint is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169)
            or (>= 0x1F170 and <= 0x1F189) or 0x200C or 0x200D)
        {
            kind |= CodePointKind.Word;
        }

        if (codePoint < 128 && (char.IsPunctuation((char)codePoint) || char.IsSymbol((char)codePoint)))
        {
            kind |= CodePointKind.Punctuation;
        }

        if (codePoint <= 0xFFFF && char.IsWhiteSpace((char)codePoint))
        {
            kind |= CodePointKind.Space;
        }

        return codePoint is '\r' or '\n' ? kind | CodePointKind.LineEnd : kind;
    }
}
