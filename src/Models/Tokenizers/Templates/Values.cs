using System.Globalization;
using System.Numerics;
using System.Text;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>
/// The value of a name, attribute or item that is not there. It prints as nothing and is false; little else can be done with it.
/// </summary>
internal sealed class Undefined(string name)
{
    public ChatTemplateException Fail() => new($"'{name}' is undefined.");
}

/// <summary>An object whose attributes a template may set.</summary>
internal sealed class Namespace
{
    public OrderedDictionary<string, object?> Members { get; } = [];
}

/// <summary>Something that a template can call: a global, a method, a macro.</summary>
internal delegate object? Function(RenderContext context, Arguments arguments);

/// <summary>The arguments of a call.</summary>
internal sealed record Arguments(IReadOnlyList<object?> Positional, IReadOnlyDictionary<string, object?> Named)
{
    public bool TryGet(int position, string name, out object? value)
    {
        if (position < Positional.Count)
        {
            value = Positional[position];
            return true;
        }

        return Named.TryGetValue(name, out value);
    }

    public object? Get(int position, string name, object? otherwise = null) =>
        TryGet(position, name, out object? value) ? value : otherwise;

    /// <summary>An argument that must be there.</summary>
    public object? Need(int position, string name) =>
        TryGet(position, name, out object? value) ? value : throw new ChatTemplateException($"The argument '{name}' is missing.");

    public string? Text(int position, string name) => Get(position, name) is { } value ? Values.NeedText(value) : null;
}

/// <summary>What Python says of values: truth, text, type, equality, order.</summary>
internal static class Values
{
    private const int MaxComparisons = 1_000_000;

    private static readonly string[] s_ascii = [.. Enumerable.Range(0, 128).Select(c => ((char)c).ToString())];

    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool flag => flag,
        long integer => integer != 0,
        double number => number != 0,
        string text => text.Length > 0,
        IReadOnlyList<object?> list => list.Count > 0,
        IReadOnlyDictionary<string, object?> dictionary => dictionary.Count > 0,
        _ => true,
    };

    public static bool IsNumber(object? value) => value is long or double or bool or BigInteger;

    public static double ToNumber(object? value) => value switch
    {
        long integer => integer,
        double number => number,
        bool flag => flag ? 1 : 0,
        BigInteger large => (double)large,
        Undefined undefined => throw undefined.Fail(),
        _ => throw new ChatTemplateException($"Expected a number, not {TypeName(value)}."),
    };

    public static long ToInteger(object? value) => value switch
    {
        long integer => integer,
        bool flag => flag ? 1 : 0,
        Undefined undefined => throw undefined.Fail(),
        _ => throw new ChatTemplateException($"Expected an integer, not {TypeName(value)}."),
    };

    public static string NeedText(object? value) => value switch
    {
        string text => text,
        Undefined undefined => throw undefined.Fail(),
        _ => throw new ChatTemplateException($"Expected a string, not {TypeName(value)}."),
    };

    /// <summary>What a loop goes over: items, keys, or characters.</summary>
    public static IReadOnlyList<object?> Items(object? value) => value switch
    {
        IReadOnlyList<object?> list => list,
        IReadOnlyDictionary<string, object?> dictionary => [.. Members(dictionary).Select(member => member.Key)],
        string text => Characters(text),
        Undefined => [],
        _ => throw new ChatTemplateException($"{TypeName(value)} cannot be iterated over."),
    };

    /// <summary>All members of a dictionary, in order, with keys of whatever type.</summary>
    public static IEnumerable<KeyValuePair<object?, object?>> Members(IReadOnlyDictionary<string, object?> dictionary) =>
        dictionary is Mapping mapping ? mapping.Members
            : dictionary.Select(member => KeyValuePair.Create((object?)member.Key, member.Value));

    /// <summary>Code points as strings; a lone surrogate on its own.</summary>
    public static IReadOnlyList<string> Characters(string text)
    {
        var characters = new List<string>(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            bool isPair = char.IsHighSurrogate(text[i]) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]);
            characters.Add(text[i] < s_ascii.Length ? s_ascii[text[i]] : text.Substring(i, isPair ? 2 : 1));
            i += isPair ? 1 : 0;
        }

        return characters;
    }

    public static string TypeName(object? value) => value switch
    {
        null => "None",
        bool => "a boolean",
        long or BigInteger => "an integer",
        Tuple => "a tuple",
        double => "a number",
        string => "a string",
        Undefined => "an undefined value",
        Function => "a function",
        IReadOnlyDictionary<string, object?> or Namespace => "a mapping",
        IReadOnlyList<object?> => "a list",
        _ => "an object",
    };

    /// <summary>Equality by value; of numbers whatever their type.</summary>
    public static bool AreEqual(object? left, object? right)
    {
        int comparisons = MaxComparisons;
        return AreEqual(left, right, 0, ref comparisons);
    }

    /// <summary>Where in a list a value stands first; -1: nowhere.</summary>
    public static int IndexOf(IReadOnlyList<object?> list, object? wanted)
    {
        int comparisons = MaxComparisons;
        for (int i = 0; i < list.Count; i++)
        {
            if (AreEqual(list[i], wanted, 0, ref comparisons))
            {
                return i;
            }
        }

        return -1;
    }

    public static long CountOf(IReadOnlyList<object?> list, object? wanted)
    {
        int comparisons = MaxComparisons;
        long count = 0;
        foreach (object? item in list)
        {
            count += AreEqual(item, wanted, 0, ref comparisons) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Steps that comparing a value takes.</summary>
    public static int CostOf(object? value) => value is string text ? 1 + (text.Length >> 10) : 1;

    private static bool AreEqual(object? left, object? right, int depth, ref int comparisonsLeft)
    {
        CheckDepth(depth);
        comparisonsLeft -= CostOf(left);
        if (comparisonsLeft < 0)
        {
            throw new ChatTemplateException("The chat template takes too many steps.");
        }

        switch (left, right)
        {
            case (null, null) or (Undefined, Undefined):
                return true;
            case (long a, long b):
                return a == b;
            case (string a, string b):
                return a == b;
            case (BigInteger a, BigInteger b):
                return a == b;
            case (IReadOnlyList<object?> a, IReadOnlyList<object?> b):
                bool areEqual = a.Count == b.Count && a is Tuple == b is Tuple;
                for (int i = 0; i < a.Count && areEqual; i++)
                {
                    areEqual = AreEqual(a[i], b[i], depth + 1, ref comparisonsLeft);
                }

                return areEqual;
            case (IReadOnlyDictionary<string, object?> a, IReadOnlyDictionary<string, object?> b):
                bool haveEqual = a.Count == b.Count;
                foreach ((object? key, object? value) in Members(a))
                {
                    haveEqual = haveEqual && Templates.Members.Item(b, key) is var other && other is not Undefined
                        && AreEqual(value, other, depth + 1, ref comparisonsLeft);
                }

                return haveEqual;
            default:
                return IsNumber(left) && IsNumber(right) ? ToNumber(left) == ToNumber(right) : ReferenceEquals(left, right);
        }
    }

    public static int Compare(object? left, object? right) => (left, right) switch
    {
        (Undefined undefined, _) => throw undefined.Fail(),
        (_, Undefined undefined) => throw undefined.Fail(),
        (string a, string b) => string.CompareOrdinal(a, b),
        (long a, long b) => a.CompareTo(b),
        (IReadOnlyList<object?> a, IReadOnlyList<object?> b) => CompareItems(a, b),
        _ => IsNumber(left) && IsNumber(right)
            ? ToNumber(left).CompareTo(ToNumber(right))
            : throw new ChatTemplateException($"{TypeName(left)} and {TypeName(right)} have no order."),
    };

    private static int CompareItems(IReadOnlyList<object?> left, IReadOnlyList<object?> right)
    {
        int at = 0;
        while (at < left.Count && at < right.Count && AreEqual(left[at], right[at]))
        {
            at++;
        }

        return at < left.Count && at < right.Count ? Compare(left[at], right[at]) : left.Count.CompareTo(right.Count);
    }

    /// <summary>A value as Python's <c>repr</c> writes it.</summary>
    public static string Represent(object? value)
    {
        var written = new StringBuilder();
        Represent(value, written, 0);
        return written.ToString();
    }

    /// <summary>A value as output prints it: as Python's <c>str</c>.</summary>
    public static string ToText(object? value)
    {
        switch (value)
        {
            case string text:
                return text;
            case Undefined:
                return "";
            default:
                return Represent(value);
        }
    }

    /// <summary>Writes a value as Python's <c>repr</c> does.</summary>
    private static void Represent(object? value, StringBuilder text, int depth)
    {
        CheckDepth(depth);
        if (text.Length > RenderContext.MaxLength)
        {
            throw new ChatTemplateException("The chat template makes too much text.");
        }

        string separator = "";
        switch (value)
        {
            case IReadOnlyDictionary<string, object?> dictionary:
                text.Append('{');
                foreach ((object? key, object? member) in Members(dictionary))
                {
                    text.Append(separator);
                    Represent(key, text, depth + 1);
                    text.Append(": ");
                    Represent(member, text, depth + 1);
                    separator = ", ";
                }

                text.Append('}');
                break;
            case IReadOnlyList<object?> list:
                text.Append(value is Tuple ? '(' : '[');
                foreach (object? item in list)
                {
                    text.Append(separator);
                    Represent(item, text, depth + 1);
                    separator = ", ";
                }

                text.Append(value is not Tuple ? "]" : list.Count == 1 ? ",)" : ")");
                break;
            default:
                text.Append(value switch
                {
                    null => "None",
                    bool flag => flag ? "True" : "False",
                    long integer => integer.ToString(CultureInfo.InvariantCulture),
                    BigInteger large => large.ToString(CultureInfo.InvariantCulture),
                    double number => FloatText(number),
                    string quoted => Quoted(quoted),
                    Undefined => "Undefined",
                    _ => TypeName(value),
                });
                break;
        }
    }

    /// <summary>A double as Python writes it: the fewest digits that give it back, with a point or an exponent.</summary>
    public static string FloatText(double number)
    {
        if (!double.IsFinite(number))
        {
            return double.IsNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
        }

        // Digits and exponent of the shortest form, laid out by Python's rule: positional from 1e-4 up to 1e16.
        string[] shortest = Math.Abs(number).ToString("R", CultureInfo.InvariantCulture).Split('E');
        int point = shortest[0].Contains('.') ? shortest[0].IndexOf('.') : shortest[0].Length;
        string plain = shortest[0].Replace(".", "", StringComparison.Ordinal);
        int leadingZeros = plain.Length - plain.TrimStart('0').Length;
        int exponent = point - 1 - leadingZeros + (shortest.Length > 1 ? int.Parse(shortest[1], CultureInfo.InvariantCulture) : 0);
        exponent = number == 0 ? 0 : exponent;
        string digits = plain.Trim('0');
        string sign = double.IsNegative(number) ? "-" : "";
        digits = digits.Length == 0 ? "0" : digits;
        if (exponent is < -4 or >= 16)
        {
            string fraction = digits.Length > 1 ? "." + digits[1..] : "";
            return $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
        }

        return exponent < 0
            ? $"{sign}0.{new string('0', -exponent - 1)}{digits}"
            : digits.Length <= exponent + 1
                ? $"{sign}{digits.PadRight(exponent + 1, '0')}.0"
                : $"{sign}{digits[..(exponent + 1)]}.{digits[(exponent + 1)..]}";
    }

    /// <summary>Bounds recursion into lists within lists, which a template can nest without end.</summary>
    public static void CheckDepth(int depth)
    {
        if (depth > 200)
        {
            throw new ChatTemplateException("A value nests too deeply.");
        }
    }

    private static string Quoted(string text)
    {
        char quote = text.Contains('\'') && !text.Contains('"') ? '"' : '\'';
        var quoted = new StringBuilder().Append(quote);
        foreach (char c in text)
        {
            quoted.Append(c switch
            {
                '\\' => "\\\\",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                _ when c == quote => "\\" + c,
                < ' ' or '\x7F' => $"\\x{(int)c:x2}",
                _ => c.ToString(),
            });
        }

        return quoted.Append(quote).ToString();
    }
}
