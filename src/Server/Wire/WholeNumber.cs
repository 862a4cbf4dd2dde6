using System.Globalization;
using System.Text.Json;

namespace Understory.Server.Wire;

/// <summary>
/// Whole numbers of JSON, however they are spelled: 16, 16.0, 1.6e1. (JSON Schema 2020-12, section 6.1.1, counts all as integers.)
/// </summary>
public static class WholeNumber
{
    /// <summary>Digits that a number of 64 bits and a sign has at most.</summary>
    private const int MostDigits = 20;

    public static bool TryRead(JsonElement value, out Int128 number)
    {
        number = 0;
        return value.ValueKind == JsonValueKind.Number && TryParse(value.GetRawText(), out number);
    }

    /// <summary>digits * 10^exponent, exactly; false where that is no whole number or has more than 20 digits.</summary>
    private static bool TryParse(ReadOnlySpan<char> text, out Int128 number)
    {
        number = 0;
        int exponent = 0;
        int mark = text.IndexOfAny('e', 'E');
        bool far = mark >= 0
            && !int.TryParse(text[(mark + 1)..], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out exponent);
        ReadOnlySpan<char> mantissa = mark < 0 ? text : text[..mark];
        bool negative = mantissa[0] == '-';
        mantissa = negative ? mantissa[1..] : mantissa;
        int point = mantissa.IndexOf('.');
        string digits = (point < 0 ? mantissa.ToString() : $"{mantissa[..point]}{mantissa[(point + 1)..]}").TrimStart('0');
        long scale = (long)exponent - (point < 0 ? 0 : mantissa.Length - point - 1);
        string significant = digits.TrimEnd('0');
        scale += digits.Length - significant.Length;
        if (significant.Length == 0)
        {
            return true;
        }

        if (far || scale < 0 || significant.Length + scale > MostDigits)
        {
            return false;
        }

        number = Int128.Parse(significant + new string('0', (int)scale), CultureInfo.InvariantCulture);
        number = negative ? -number : number;
        return true;
    }
}
