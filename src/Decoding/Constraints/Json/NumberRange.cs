using System.Numerics;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// Integers and decimal numbers between bounds, digit by digit. Without a bound, numbers have at most <see cref="JsonTexts.MaxDigits"/>
/// digits on that side.
/// </summary>
internal static class NumberRange
{
    private static readonly Grammar _digit = Digits('0', '9');
    private static readonly Grammar _anyDigits = Grammar.Repeat(_digit);
    private static readonly Grammar _fraction = Grammar.Optional(Grammar.Sequence(Grammar.Literal("."), Grammar.Repeat(_digit, 1)));

    /// <summary>Integers from <paramref name="low"/> to <paramref name="high"/>, inclusive.</summary>
    public static Grammar Integers(BigInteger? low, BigInteger? high)
    {
        BigInteger reach = Reach(low, high);
        BigInteger least = low ?? -reach;
        BigInteger most = high ?? reach;
        var options = new List<Grammar>();
        if (most >= 0 && most >= least)
        {
            options.Add(Naturals(BigInteger.Max(least, 0), most));
        }

        if (least < 0 && most >= least)
        {
            options.Add(Grammar.Sequence(Grammar.Literal("-"), Naturals(BigInteger.Max(-most, 1), -least)));
        }

        return Grammar.Choice([.. options]);
    }

    /// <summary>Decimal numbers, without exponents, between two bounds.</summary>
    /// <param name="lowOut">The lower bound itself is out.</param>
    public static Grammar Decimals(JsonNumber? low, bool lowOut, JsonNumber? high, bool highOut)
    {
        var options = new List<Grammar>();
        JsonNumber zero = default(JsonNumber) with { Digits = "" };
        if (high is null or { Negative: false })
        {
            options.Add(low is { Negative: false } least ? Magnitudes(least, lowOut, high, highOut)
                : Magnitudes(zero, false, high, highOut));
        }

        if (low is null or { Negative: true })
        {
            // -0 is left out: it is 0.
            options.Add(Grammar.Sequence(Grammar.Literal("-"), high is { Negative: true } most
                ? Magnitudes(most.Negated, highOut, low?.Negated, lowOut)
                : Magnitudes(zero, true, low?.Negated, lowOut)));
        }

        return Grammar.Choice([.. options]);
    }

    private static Grammar Magnitudes(JsonNumber low, bool lowOut, JsonNumber? high, bool highOut)
    {
        BigInteger reach = Reach(low.Whole, high?.Whole);
        Grammar shape = Grammar.Sequence(Naturals(0, reach),
            Grammar.Optional(Grammar.Sequence(Grammar.Literal("."), Grammar.Repeat(_digit, 1, JsonTexts.MaxDigits))));
        Grammar found = Grammar.Intersect(shape, AtLeast(low, lowOut, reach));
        return high is null ? found : Grammar.Intersect(found, AtMost(high.Value, highOut));
    }

    private static Grammar AtLeast(JsonNumber bound, bool isOut, BigInteger reach)
    {
        (BigInteger whole, string fraction) = (bound.Whole, bound.Fraction);
        Grammar rest = fraction.Length == 0
            ? isOut ? Grammar.Sequence(Grammar.Literal("."), NotZero()) : _fraction
            : Grammar.Sequence(Grammar.Literal("."), Above(fraction, isOut));
        return Grammar.Choice(
            Grammar.Sequence(Naturals(whole + 1, reach), _fraction),
            Grammar.Sequence(Grammar.Literal(whole.ToString()), rest));
    }

    private static Grammar AtMost(JsonNumber bound, bool isOut)
    {
        (BigInteger whole, string fraction) = (bound.Whole, bound.Fraction);
        Grammar rest = fraction.Length > 0
            ? Grammar.Optional(Grammar.Sequence(Grammar.Literal("."), Below(fraction, isOut)))
            : isOut ? Grammar.Nothing : Grammar.Optional(Grammar.Sequence(Grammar.Literal("."), Grammar.Repeat(Digits('0', '0'), 1)));
        return Grammar.Choice(
            whole > 0 ? Grammar.Sequence(Naturals(0, whole - 1), _fraction) : Grammar.Nothing,
            Grammar.Sequence(Grammar.Literal(whole.ToString()), rest));
    }

    /// <summary>Digits behind the point that are not less than <paramref name="bound"/>, which does not end with 0.</summary>
    private static Grammar Above(string bound, bool isOut)
    {
        Grammar rest = bound.Length > 1 ? Above(bound[1..], isOut) : isOut ? NotZero() : _anyDigits;
        return Grammar.Choice(Then(Digits((char)(bound[0] + 1), '9'), _anyDigits), Grammar.Sequence(Digits(bound[0], bound[0]), rest));
    }

    private static Grammar Below(string bound, bool isOut)
    {
        Grammar rest = bound.Length > 1 ? Grammar.Optional(Below(bound[1..], isOut)) : isOut ? Grammar.Nothing
            : Grammar.Repeat(Digits('0', '0'));
        return Grammar.Choice(Then(Digits('0', (char)(bound[0] - 1)), _anyDigits), Grammar.Sequence(Digits(bound[0], bound[0]), rest));
    }

    private static Grammar NotZero() => Grammar.Sequence(Grammar.Repeat(Digits('0', '0')), Digits('1', '9'), _anyDigits);

    /// <summary>Integers from 0 up without leading zeros.</summary>
    private static Grammar Naturals(BigInteger low, BigInteger high)
    {
        var options = new List<Grammar>();
        for (int length = low.ToString().Length; length <= high.ToString().Length && low <= high; length++)
        {
            BigInteger first = length == 1 ? BigInteger.Zero : BigInteger.Pow(10, length - 1);
            options.Add(SameLength(BigInteger.Max(low, first).ToString(), BigInteger.Min(high, BigInteger.Pow(10, length) - 1).ToString()));
        }

        return Grammar.Choice([.. options]);
    }

    private static Grammar SameLength(string low, string high)
    {
        int rest = low.Length - 1;
        if (low.AsSpan().TrimStart('0').IsEmpty && high.AsSpan().TrimStart('9').IsEmpty)
        {
            return Grammar.Repeat(_digit, low.Length, low.Length);
        }

        if (low[0] == high[0])
        {
            return rest == 0 ? Digits(low[0], low[0]) : Grammar.Sequence(Digits(low[0], low[0]), SameLength(low[1..], high[1..]));
        }

        Grammar any = Grammar.Repeat(_digit, rest, rest);
        return rest == 0
            ? Digits(low[0], high[0])
            : Grammar.Choice(
                Grammar.Sequence(Digits(low[0], low[0]), SameLength(low[1..], new string('9', rest))),
                Then(Digits((char)(low[0] + 1), (char)(high[0] - 1)), any),
                Grammar.Sequence(Digits(high[0], high[0]), SameLength(new string('0', rest), high[1..])));
    }

    private static Grammar Digits(char first, char last) => first > last ? Grammar.Nothing : Grammar.Characters((first, last));

    private static Grammar Then(Grammar first, Grammar rest) =>
        ReferenceEquals(first, Grammar.Nothing) ? Grammar.Nothing : Grammar.Sequence(first, rest);

    /// <summary>What stands for infinity.</summary>
    private static BigInteger Reach(BigInteger? low, BigInteger? high)
    {
        BigInteger furthest = BigInteger.Max(BigInteger.Abs(low ?? 0), BigInteger.Abs(high ?? 0));
        int digits = Math.Max(JsonTexts.MaxDigits, furthest.ToString().Length + 1);
        return BigInteger.Pow(10, digits) - 1;
    }
}
