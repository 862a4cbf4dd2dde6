using System.Text;

namespace Understory.Models.Tokenizers.Normalization;

/// <summary>
/// Unicode normalisation forms (Unicode Standard Annex 15). Of our own because <see cref="string.Normalize()"/> changes nothing
/// when the application runs without culture data. Linear but for sorting; text that is normalised already costs one look per
/// code point.
/// </summary>
internal static class UnicodeNormalization
{
    private const int HangulFirst = 0xAC00;
    private const int HangulCount = 11172;
    private const int LeadFirst = 0x1100;
    private const int LeadCount = 19;
    private const int VowelFirst = 0x1161;
    private const int VowelCount = 21;
    private const int TailFirst = 0x11A7; // the place before the first: no tail
    private const int TailCount = 28;

    /// <summary>No form changes code points before this one, apart from Latin-1 ones that the D and K forms decompose.</summary>
    private const char FirstMark = '\u0300';

    /// <summary><paramref name="text"/> in a normalisation form; itself if it is so already. Lone surrogates stay.</summary>
    public static string Normalize(string text, NormalizationForm form)
    {
        char plain = form == NormalizationForm.FormC ? FirstMark : '\u0080';
        if (text.AsSpan().IndexOfAnyExceptInRange('\0', (char)(plain - 1)) < 0)
        {
            return text;
        }

        bool compatibility = form is NormalizationForm.FormKC or NormalizationForm.FormKD;
        bool compose = form is NormalizationForm.FormC or NormalizationForm.FormKC;
        CodePointTraits unsafeTraits = UnsafeTraits(form);
        NormalizationData data = NormalizationData.Instance;
        StringBuilder? result = null;
        var segment = new List<int>();
        int copied = 0;
        int lastSafe = 0;
        for (int at = 0; at < text.Length;)
        {
            if (text[at] < plain)
            {
                lastSafe = at++;
                continue;
            }

            int code = CodePointAt(text, at, out int length);
            if ((data.Traits(code) & unsafeTraits) == 0)
            {
                lastSafe = at;
                at += length;
                continue;
            }

            // From the last code point that nothing before it can touch to the next such one, normalise.
            int end = at + length;
            while (end < text.Length && (data.Traits(CodePointAt(text, end, out length)) & unsafeTraits) != 0)
            {
                end += length;
            }

            result ??= new StringBuilder(text.Length + 16);
            result.Append(text, copied, lastSafe - copied);
            Decompose(text.AsSpan(lastSafe..end), compatibility, segment);
            SortMarks(segment);
            if (compose)
            {
                Compose(segment);
            }

            foreach (int point in segment)
            {
                AppendCodePoint(result, point);
            }

            copied = lastSafe = at = end;
        }

        return result is null ? text : result.Append(text, copied, text.Length - copied).ToString();
    }

    private static CodePointTraits UnsafeTraits(NormalizationForm form) => form switch
    {
        NormalizationForm.FormC => CodePointTraits.Mark | CodePointTraits.Replaced | CodePointTraits.ComposesBackwards,
        NormalizationForm.FormD => CodePointTraits.Mark | CodePointTraits.Canonical,
        NormalizationForm.FormKC => CodePointTraits.Mark | CodePointTraits.Canonical | CodePointTraits.Compatibility
            | CodePointTraits.ComposesBackwards,
        _ => CodePointTraits.Mark | CodePointTraits.Canonical | CodePointTraits.Compatibility,
    };

    private static void Decompose(ReadOnlySpan<char> text, bool compatibility, List<int> segment)
    {
        segment.Clear();
        for (int at = 0; at < text.Length;)
        {
            Expand(CodePointAt(text, at, out int length), compatibility, segment);
            at += length;
        }
    }

    private static void Expand(int code, bool compatibility, List<int> segment)
    {
        int syllable = code - HangulFirst;
        if ((uint)syllable < HangulCount)
        {
            segment.Add(LeadFirst + (syllable / (VowelCount * TailCount)));
            segment.Add(VowelFirst + (syllable / TailCount % VowelCount));
            if (syllable % TailCount != 0)
            {
                segment.Add(TailFirst + (syllable % TailCount));
            }

            return;
        }

        int[]? parts = NormalizationData.Instance.Decomposition(code, compatibility);
        if (parts is null)
        {
            segment.Add(code);
            return;
        }

        foreach (int part in parts)
        {
            Expand(part, compatibility, segment);
        }
    }

    /// <summary>Sorts each run of marks by combining class, equal ones in their order.</summary>
    private static void SortMarks(List<int> segment)
    {
        NormalizationData data = NormalizationData.Instance;
        for (int start = 0; start < segment.Count; start++)
        {
            int end = start;
            bool sorted = true;
            for (; end < segment.Count && data.CombiningClass(segment[end]) != 0; end++)
            {
                sorted &= end == start || data.CombiningClass(segment[end - 1]) <= data.CombiningClass(segment[end]);
            }

            if (!sorted)
            {
                int[] marks = [.. segment.GetRange(start, end - start).OrderBy(data.CombiningClass)];
                for (int i = 0; i < marks.Length; i++)
                {
                    segment[start + i] = marks[i];
                }
            }

            start = Math.Max(start, end - 1);
        }
    }

    /// <summary>Joins each starter with what follows it, unless something of the same or a higher class stands between.</summary>
    private static void Compose(List<int> segment)
    {
        NormalizationData data = NormalizationData.Instance;
        int kept = 0;
        int starter = -1;
        int lastClass = -1; // of what was kept since the starter; -1: nothing
        for (int at = 0; at < segment.Count; at++)
        {
            int code = segment[at];
            int combiningClass = data.CombiningClass(code);
            if (starter >= 0 && lastClass < combiningClass && Pair(segment[starter], code) is >= 0 and int composed)
            {
                segment[starter] = composed;
                continue;
            }

            if (combiningClass == 0)
            {
                starter = kept;
                lastClass = -1;
            }
            else
            {
                lastClass = combiningClass;
            }

            segment[kept++] = code;
        }

        segment.RemoveRange(kept, segment.Count - kept);
    }

    private static int Pair(int first, int second)
    {
        int lead = first - LeadFirst;
        int vowel = second - VowelFirst;
        if ((uint)lead < LeadCount && (uint)vowel < VowelCount)
        {
            return HangulFirst + (((lead * VowelCount) + vowel) * TailCount);
        }

        int syllable = first - HangulFirst;
        int tail = second - TailFirst;
        if ((uint)syllable < HangulCount && syllable % TailCount == 0 && tail is > 0 and < TailCount)
        {
            return first + tail;
        }

        return NormalizationData.Instance.Composition(first, second);
    }

    private static int CodePointAt(ReadOnlySpan<char> text, int at, out int length)
    {
        bool isPair = char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]);
        length = isPair ? 2 : 1;
        return isPair ? char.ConvertToUtf32(text[at], text[at + 1]) : text[at];
    }

    private static void AppendCodePoint(StringBuilder text, int code)
    {
        if (code < 0x10000)
        {
            text.Append((char)code);
        }
        else
        {
            text.Append((char)(0xD800 + ((code - 0x10000) >> 10))).Append((char)(0xDC00 + (code & 0x3FF)));
        }
    }
}
