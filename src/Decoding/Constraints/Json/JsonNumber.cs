using System.Globalization;
using System.Numerics;
using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// A number of JSON as it is written, of any length: <c>Digits x 10^Exponent</c>. One value has one form, so equal numbers are equal here.
/// </summary>
/// <param name="Digits">Without zeros at either end; "" is 0, which is never negative.</param>
internal readonly record struct JsonNumber(bool Negative, string Digits, long Exponent)
{
    private const int FarExponent = 999_999_999;

    /// <summary>Places of its integer part; below 1 for magnitudes below 1 (and for 0).</summary>
    public long Magnitude => Digits.Length + Exponent;

    public bool IsZero => Digits.Length == 0;

    public bool IsInteger => IsZero || Exponent >= 0;

    public JsonNumber Negated => IsZero ? this : this with { Negative = !Negative };

    /// <param name="value">Of the kind Number.</param>
    public static JsonNumber Of(JsonElement value)
    {
        ReadOnlySpan<char> text = value.GetRawText();
        bool negative = text[0] == '-';
        text = negative ? text[1..] : text;
        int e = text.IndexOfAny('e', 'E');
        ReadOnlySpan<char> plain = e < 0 ? text : text[..e];
        int point = plain.IndexOf('.');
        ReadOnlySpan<char> fraction = point < 0 ? [] : plain[(point + 1)..].TrimEnd('0');
        string digits = string.Concat(point < 0 ? plain : plain[..point], fraction).TrimStart('0');
        long exponent = (e < 0 ? 0 : ExponentOf(text[(e + 1)..])) - fraction.Length;
        string trimmed = digits.TrimEnd('0');
        return trimmed.Length == 0
            ? new JsonNumber(false, "", 0)
            : new JsonNumber(negative, trimmed, exponent + digits.Length - trimmed.Length);
    }

    /// <summary>-1, 0 or 1 as it is less, equal or greater.</summary>
    public int CompareTo(JsonNumber other)
    {
        int sign = Math.Sign(Sign - other.Sign);
        if (sign != 0 || IsZero)
        {
            return sign;
        }

        int size = Magnitude != other.Magnitude ? Magnitude.CompareTo(other.Magnitude) : string.CompareOrdinal(Digits, other.Digits);
        return Math.Sign(size) * Sign;
    }

    /// <summary>The integer part, towards 0. For magnitudes that are held in bounds.</summary>
    public BigInteger Whole => Magnitude <= 0 ? 0 : Sign * BigInteger.Parse(
        Exponent >= 0 ? Digits + new string('0', (int)Exponent) : Digits[..(int)Magnitude], CultureInfo.InvariantCulture);

    /// <summary>The digits behind the point, without zeros at the end.</summary>
    public string Fraction => Exponent >= 0 ? "" : Magnitude >= 0 ? Digits[(int)Magnitude..] : new string('0', (int)-Magnitude) + Digits;

    /// <summary>The least integer that is not below it.</summary>
    public BigInteger Ceiling => Whole + (!IsInteger && !Negative ? 1 : 0);

    /// <summary>The greatest integer that is not above it.</summary>
    public BigInteger Floor => Whole - (!IsInteger && Negative ? 1 : 0);

    public override string ToString() => $"{(Negative ? "-" : "")}{Digits}e{Exponent}";

    private int Sign => IsZero ? 0 : Negative ? -1 : 1;

    private static long ExponentOf(ReadOnlySpan<char> text)
    {
        bool negative = text[0] == '-';
        ReadOnlySpan<char> digits = text.TrimStart("+-").TrimStart('0');
        long value = digits.Length == 0 ? 0 : digits.Length > 9 ? FarExponent : long.Parse(digits, CultureInfo.InvariantCulture);
        return negative ? -value : value;
    }
}
