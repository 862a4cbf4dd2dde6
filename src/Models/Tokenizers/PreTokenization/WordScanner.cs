namespace Understory.Models.Tokenizers.PreTokenization;

/// <summary>
/// The patterns of the common byte-level vocabularies, written out as scanners over code points: linear, without a regex
/// engine. Each match begins where the one before ended, so that together they cover the text.
/// </summary>
internal sealed class WordScanner
{
    private const CodePointKind Wordlike = CodePointKind.Letter | CodePointKind.Number | CodePointKind.Space;

    /// <summary>GPT-2: a word takes at most one blank in front of it; digits run on.</summary>
    public static readonly WordScanner Gpt2 = new(isGpt2: true, maxDigits: int.MaxValue);

    /// <summary>Llama 3 and cl100k: a word takes one character in front of it; digits in threes; line ends stay together.</summary>
    public static readonly WordScanner Llama3 = new(isGpt2: false, maxDigits: 3);

    /// <summary>Qwen 2 and later: as Llama 3, digits one by one.</summary>
    public static readonly WordScanner Qwen2 = new(isGpt2: false, maxDigits: 1);

    private const string Tail = @"|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly Dictionary<string, WordScanner> s_byPattern = new()
    {
        [Gpt2Pattern] = Gpt2,
        [@"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"] = Gpt2,
        [Llama3Pattern] = Llama3,
        [@"'(?i:[sdmt]|ll|ve|re)" + Tail.Replace("DIGITS", @"\p{N}{1,3}")] = Llama3,
        [@"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"] = Llama3,
        [Qwen2Pattern] = Qwen2,
    };

    private readonly bool _isGpt2;
    private readonly int _maxDigits;

    private WordScanner(bool isGpt2, int maxDigits)
    {
        _isGpt2 = isGpt2;
        _maxDigits = maxDigits;
    }

    public static string Gpt2Pattern => @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public static string Llama3Pattern => "(?i:'s|'t|'re|'ve|'m|'ll|'d)" + Tail.Replace("DIGITS", @"\p{N}{1,3}");

    public static string Qwen2Pattern => "(?i:'s|'t|'re|'ve|'m|'ll|'d)" + Tail.Replace("DIGITS", @"\p{N}");

    /// <summary>The scanner for a pattern as tokenizer.json writes it, or null if there is none.</summary>
    public static WordScanner? ForPattern(string pattern) => s_byPattern.GetValueOrDefault(pattern);

    public void Cut(ReadOnlySpan<char> text, PieceSink sink)
    {
        for (int start = 0; start < text.Length;)
        {
            int end = _isGpt2 ? EndOfGpt2Word(text, start) : EndOfWord(text, start);
            sink.Add(start, end);
            start = end;
        }
    }

    private static int EndOfGpt2Word(ReadOnlySpan<char> text, int start)
    {
        if (Contraction(text, start, ignoreCase: false) is > 0 and int contraction)
        {
            return start + contraction;
        }

        int first = text[start] == ' ' && start + 1 < text.Length ? start + 1 : start;
        CodePointKind kind = CodePoints.KindAt(text, first, out int length) & Wordlike;
        return kind switch
        {
            CodePointKind.Letter or CodePointKind.Number => CodePoints.SkipAny(text, first + length, kind),
            CodePointKind.Other => CodePoints.SkipNone(text, first + length, Wordlike),
            _ => EndOfBlanks(text, start, out _),
        };
    }

    private int EndOfWord(ReadOnlySpan<char> text, int start)
    {
        if (Contraction(text, start, ignoreCase: true) is > 0 and int contraction)
        {
            return start + contraction;
        }

        CodePointKind kind = CodePoints.KindAt(text, start, out int length);
        int next = start + length;
        CodePointKind nextKind = next < text.Length ? CodePoints.KindAt(text, next, out _) : CodePointKind.Space;
        if ((kind & CodePointKind.Letter) != 0
            || ((kind & (CodePointKind.Number | CodePointKind.LineEnd)) == 0 && (nextKind & CodePointKind.Letter) != 0))
        {
            return CodePoints.SkipAny(text, next, CodePointKind.Letter);
        }

        if ((kind & CodePointKind.Number) != 0)
        {
            for (int digits = 1; digits < _maxDigits && next < text.Length; digits++)
            {
                if ((CodePoints.KindAt(text, next, out length) & CodePointKind.Number) == 0)
                {
                    break;
                }

                next += length;
            }

            return next;
        }

        bool isOther = (kind & Wordlike) == 0;
        if (isOther || (text[start] == ' ' && (nextKind & Wordlike) == 0))
        {
            return CodePoints.SkipAny(text, CodePoints.SkipNone(text, next, Wordlike), CodePointKind.LineEnd);
        }

        int end = EndOfBlanks(text, start, out int afterLineEnd);
        return afterLineEnd > 0 ? afterLineEnd : end;
    }

    /// <summary>
    /// The end of <c>\s+(?!\S)|\s+</c>: all blanks, but the last one is left to a word that follows. Also where the run's last
    /// line end ends, 0 if it has none.
    /// </summary>
    private static int EndOfBlanks(ReadOnlySpan<char> text, int start, out int afterLineEnd)
    {
        afterLineEnd = 0;
        int end = start;
        for (; end < text.Length; end++)
        {
            CodePointKind kind = CodePoints.KindOf(text[end]);
            if ((kind & CodePointKind.Space) == 0)
            {
                return end - start > 1 ? end - 1 : end;
            }

            if ((kind & CodePointKind.LineEnd) != 0)
            {
                afterLineEnd = end + 1;
            }
        }

        return end;
    }

    /// <summary>Length of 's, 't, 're, 've, 'm, 'll or 'd at <paramref name="start"/>, 0 if there is none.</summary>
    private static int Contraction(ReadOnlySpan<char> text, int start, bool ignoreCase)
    {
        if (text[start] != '\'' || start + 1 >= text.Length)
        {
            return 0;
        }

        char first = Fold(text[start + 1], ignoreCase);
        if (first is 's' or 't' or 'm' or 'd')
        {
            return 2;
        }

        char second = start + 2 < text.Length ? Fold(text[start + 2], ignoreCase) : '\0';
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }

    /// <summary>Simple case folding as far as contractions need it; U+017F, the long s, folds to s.</summary>
    private static char Fold(char c, bool ignoreCase) =>
        !ignoreCase ? c : c is >= 'A' and <= 'Z' ? (char)(c | 0x20) : c == '\u017F' ? 's' : c;
}
