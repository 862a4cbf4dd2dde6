using System.Numerics;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>Python's operators on the values of a template.</summary>
internal static class Operators
{
    public static bool Holds(object? left, string sign, object? right) => sign switch
    {
        "==" => Values.AreEqual(left, right),
        "!=" => !Values.AreEqual(left, right),
        "<" => Values.Compare(left, right) < 0,
        "<=" => Values.Compare(left, right) <= 0,
        ">" => Values.Compare(left, right) > 0,
        ">=" => Values.Compare(left, right) >= 0,
        "in" => Contains(right, left),
        _ => !Contains(right, left),
    };

    public static bool Contains(object? container, object? item) => container switch
    {
        string text => text.Contains(Values.NeedText(item), StringComparison.Ordinal),
        Mapping mapping => mapping.TryGet(item, out _),
        IReadOnlyDictionary<string, object?> dictionary => item is string key && dictionary.ContainsKey(key),
        _ => Values.IndexOf(Values.Items(container), item) >= 0,
    };

    public static object? Apply(RenderContext context, object? left, string sign, object? right)
    {
        if (sign == "~")
        {
            return Join(context, Values.ToText(left), Values.ToText(right));
        }

        switch (left, right)
        {
            case (Undefined undefined, _):
                throw undefined.Fail();
            case (_, Undefined undefined):
                throw undefined.Fail();
            case (string a, string b) when sign == "+":
                return Join(context, a, b);
            case (IReadOnlyList<object?> a, IReadOnlyList<object?> b) when sign == "+" && a is Tuple == b is Tuple:
                context.Reserve(a.Count + b.Count);
                return a is Tuple ? new Tuple(a.Concat(b)) : a.Concat(b).ToList();
            case (string format, _) when sign == "%":
                return TextFormat.Percent(context, format, right);
            case (string text, long count) when sign == "*":
                return Repeat(context, text, count);
            case (long count, string text) when sign == "*":
                return Repeat(context, text, count);
        }

        if (!Values.IsNumber(left) || !Values.IsNumber(right))
        {
            throw new ChatTemplateException($"{Values.TypeName(left)} {sign} {Values.TypeName(right)} is not possible.");
        }

        bool isFraction = sign == "/" || (sign == "**" && Values.ToNumber(right) < 0);
        return left is double or BigInteger || right is double or BigInteger || isFraction
            ? (object)OfNumbers(Values.ToNumber(left), sign, Values.ToNumber(right))
            : OfIntegers(Values.ToInteger(left), sign, Values.ToInteger(right));
    }

    private static string Join(RenderContext context, string left, string right)
    {
        context.Reserve((long)left.Length + right.Length);
        return left + right;
    }

    private static string Repeat(RenderContext context, string text, long count)
    {
        count = Math.Clamp(count, 0, RenderContext.MaxLength + 1L);
        context.Reserve(text.Length * count);
        return text.Length == 0 ? "" : string.Concat(Enumerable.Repeat(text, (int)count));
    }

    private static double OfNumbers(double left, string sign, double right)
    {
        if (right == 0 && (sign is "/" or "//" or "%"))
        {
            throw new ChatTemplateException("Division by zero.");
        }

        return sign switch
        {
            "+" => left + right,
            "-" => left - right,
            "*" => left * right,
            "/" => left / right,
            "//" => Math.Floor(left / right),
            "%" => left - (Math.Floor(left / right) * right),
            _ => Math.Pow(left, right),
        };
    }

    private static long OfIntegers(long left, string sign, long right)
    {
        if (right == 0 && (sign is "//" or "%"))
        {
            throw new ChatTemplateException("Division by zero.");
        }

        try
        {
            checked
            {
                long remainder = sign is "//" or "%" && right != -1 ? left % right : 0;
                bool isBetween = remainder != 0 && remainder < 0 != right < 0; // Python rounds down
                return sign switch
                {
                    "+" => left + right,
                    "-" => left - right,
                    "*" => left * right,
                    "//" => right == -1 ? -left : (left / right) - (isBetween ? 1 : 0),
                    "%" => isBetween ? remainder + right : remainder,
                    _ => Power(left, right),
                };
            }
        }
        catch (OverflowException)
        {
            throw new ChatTemplateException("A number is too large.");
        }
    }

    private static long Power(long left, long right)
    {
        // Beyond 2^53 a double is no longer the exact integer.
        double power = Math.Pow(left, right);
        return Math.Abs(power) < 1L << 53 ? (long)power : throw new OverflowException();
    }
}
