using System.Globalization;
using System.Numerics;
using System.Text;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>Python's two ways of putting values into a text: <c>'%s has %d' % (a, b)</c> and <c>'{} has {n}'.format(a, n=b)</c>.</summary>
internal static class TextFormat
{
    private const int Widest = 10_000;

    /// <summary>How a value is laid out.</summary>
    /// <param name="Align">'&lt;', '&gt;', '^' or '=' (blanks between sign and digits); '\0': as the type has it.</param>
    /// <param name="Sign">'+', ' ' or '-'.</param>
    /// <param name="Precision">Digits behind the point, or characters of a text; -1: not given.</param>
    /// <param name="Grouping">Stands between groups of three digits: ',', '_' or '\0'.</param>
    private readonly record struct Layout(char Fill, char Align, char Sign, bool Alternate, int Width, char Grouping, int Precision,
        char Type);

    /// <summary>The operator <c>%</c> of a string.</summary>
    /// <param name="values">A tuple: one value after the other. A mapping: by <c>%(name)s</c>. Anything else: the only one.</param>
    public static string Percent(RenderContext context, string format, object? values)
    {
        IReadOnlyList<object?> positional = values as Tuple ?? (IReadOnlyList<object?>)[values];
        var text = new StringBuilder();
        int used = 0;
        bool isNamed = false;
        for (int at = 0; at < format.Length; at++)
        {
            if (format[at] != '%')
            {
                text.Append(format[at]);
                continue;
            }

            at++;
            object? named = null;
            bool hasName = at < format.Length && format[at] == '(';
            if (hasName)
            {
                int close = format.IndexOf(')', at);
                string name = close < 0 ? throw Broken(format) : format[(at + 1)..close];
                named = values is IReadOnlyDictionary<string, object?> mapping ? Members.Item(mapping, name)
                    : throw new ChatTemplateException("A format with names needs a mapping.");
                isNamed = true;
                at = close + 1;
            }

            var flags = new HashSet<char>();
            for (; at < format.Length && "-+ 0#".Contains(format[at]); at++)
            {
                flags.Add(format[at]);
            }

            int width = Count(ref at, otherwise: 0);
            int precision = -1;
            if (at < format.Length && format[at] == '.')
            {
                at++;
                precision = Count(ref at, otherwise: 0);
            }

            at += at < format.Length && format[at] is 'h' or 'l' or 'L' ? 1 : 0;
            char type = at < format.Length ? format[at] : throw Broken(format);
            if (type == '%')
            {
                text.Append('%');
                continue;
            }

            object? value = hasName ? named : Next();
            bool isText = type is 's' or 'r' or 'a' or 'c';
            value = type switch
            {
                's' => Values.ToText(value),
                'r' or 'a' => Values.Represent(value),
                'c' => value is long code and >= 0 and <= 0x10FFFF and not (>= 0xD800 and <= 0xDFFF) ? char.ConvertFromUtf32((int)code)
                    : Values.NeedText(value),
                'd' or 'i' or 'u' when value is double number => new BigInteger(number),
                _ when !Values.IsNumber(value) =>
                    throw new ChatTemplateException($"%{type} needs a number, not {Values.TypeName(value)}."),
                _ => value,
            };
            char align = flags.Contains('-') ? '<' : flags.Contains('0') && !isText ? '=' : '>';
            char sign = flags.Contains('+') ? '+' : flags.Contains(' ') ? ' ' : '-';
            var layout = new Layout(align == '=' ? '0' : ' ', align, sign, flags.Contains('#'), width, '\0', precision,
                isText ? 's' : type is 'i' or 'u' ? 'd' : type);
            text.Append(Lay(value, layout));
            context.Reserve(text.Length);
        }

        return used < positional.Count && !isNamed && values is not IReadOnlyDictionary<string, object?>
            ? throw new ChatTemplateException("A format has fewer places than there are values.") : text.ToString();

        object? Next() => used < positional.Count ? positional[used++]
            : throw new ChatTemplateException("A format has more places than there are values.");

        int Count(ref int place, int otherwise)
        {
            if (place < format.Length && format[place] == '*')
            {
                place++;
                return (int)Math.Clamp(Values.ToInteger(Next()), 0, Widest);
            }

            return ReadCount(format, ref place, otherwise);
        }
    }

    /// <summary>The method <c>format</c> of a string.</summary>
    public static string Fields(RenderContext context, string format, Arguments arguments)
    {
        int next = 0;
        return Fields(context, format, arguments, ref next, 0);
    }

    private static string Fields(RenderContext context, string format, Arguments arguments, ref int next, int depth)
    {
        var text = new StringBuilder();
        for (int at = 0; at < format.Length; at++)
        {
            char c = format[at];
            if (c is not ('{' or '}'))
            {
                text.Append(c);
                continue;
            }

            if (at + 1 < format.Length && format[at + 1] == c && depth == 0)
            {
                text.Append(c);
                at++;
                continue;
            }

            int end = c == '{' ? FieldEnd(format, at) : -1;
            if (end < 0 || depth > 1)
            {
                throw Broken(format);
            }

            string field = format[(at + 1)..end];
            at = end;
            int colon = field.IndexOf(':');
            string spec = colon < 0 ? "" : field[(colon + 1)..];
            string name = colon < 0 ? field : field[..colon];
            int bang = name.IndexOf('!');
            object? value = Find(bang < 0 ? name : name[..bang], arguments, ref next);
            value = bang < 0 ? value : name[(bang + 1)..] switch
            {
                "s" => Values.ToText(value),
                "r" or "a" => Values.Represent(value),
                _ => throw Broken(format),
            };
            text.Append(Lay(value, ReadLayout(spec.Contains('{') ? Fields(context, spec, arguments, ref next, depth + 1) : spec)));
            context.Reserve(text.Length);
        }

        return text.ToString();
    }

    private static int FieldEnd(string format, int at)
    {
        int depth = 0;
        for (; at < format.Length; at++)
        {
            depth += format[at] == '{' ? 1 : format[at] == '}' ? -1 : 0;
            if (depth == 0)
            {
                return at;
            }
        }

        return -1;
    }

    /// <summary>What a field names: an argument, perhaps an attribute or an item of it (<c>0.name</c>, <c>user[id]</c>).</summary>
    private static object? Find(string name, Arguments arguments, ref int next)
    {
        int end = name.AsSpan().IndexOfAny('.', '[');
        string first = end < 0 ? name : name[..end];
        object? value = first.Length == 0 ? At(next++)
            : long.TryParse(first, NumberStyles.None, CultureInfo.InvariantCulture, out long place) ? At(place)
            : arguments.Named.TryGetValue(first, out object? named) ? named
            : throw new ChatTemplateException($"A format names '{first}', which is not given.");
        string rest = end < 0 ? "" : name[end..];
        while (rest.Length > 0)
        {
            bool isItem = rest[0] == '[';
            int stop = isItem ? rest.IndexOf(']') : rest.AsSpan(1).IndexOfAny('.', '[') + 1;
            stop = stop <= 0 ? isItem ? throw Broken(name) : rest.Length : stop;
            string key = rest[1..stop];
            value = !isItem ? Members.Attribute(value, key)
                : Members.Item(value, long.TryParse(key, NumberStyles.None, CultureInfo.InvariantCulture, out long index) ? index : key);
            rest = rest[(isItem ? stop + 1 : stop)..];
        }

        return value;

        object? At(long index) => index < arguments.Positional.Count ? arguments.Positional[(int)index]
            : throw new ChatTemplateException("A format has more places than there are values.");
    }

    private static Layout ReadLayout(string spec)
    {
        int at = 0;
        char fill = ' ';
        char align = '\0';
        if (spec.Length > 1 && spec[1] is '<' or '>' or '^' or '=')
        {
            (fill, align, at) = (spec[0], spec[1], 2);
        }
        else if (spec.Length > 0 && spec[0] is '<' or '>' or '^' or '=')
        {
            (align, at) = (spec[0], 1);
        }

        char sign = at < spec.Length && spec[at] is '+' or ' ' or '-' ? spec[at++] : '-';
        bool isAlternate = at < spec.Length && spec[at] == '#' && at++ >= 0;
        if (at < spec.Length && spec[at] == '0' && align == '\0')
        {
            (fill, align) = ('0', '=');
            at++;
        }

        int width = ReadCount(spec, ref at, 0);
        char grouping = at < spec.Length && spec[at] is ',' or '_' ? spec[at++] : '\0';
        int precision = -1;
        if (at < spec.Length && spec[at] == '.')
        {
            at++;
            precision = ReadCount(spec, ref at, -1);
        }

        char type = at < spec.Length ? spec[at++] : '\0';
        return at == spec.Length ? new Layout(fill, align, sign, isAlternate, width, grouping, precision, type) : throw Broken(spec);
    }

    private static int ReadCount(string text, ref int at, int otherwise)
    {
        int start = at;
        while (at < text.Length && char.IsAsciiDigit(text[at]))
        {
            at++;
        }

        return at == start ? otherwise
            : int.TryParse(text.AsSpan(start, at - start), CultureInfo.InvariantCulture, out int count) && count <= Widest ? count
            : throw new ChatTemplateException("A format asks for too much room.");
    }

    private static string Lay(object? value, Layout layout)
    {
        bool isNumber = Values.IsNumber(value) && layout.Type != 's' && !(value is bool && layout.Type == '\0');
        string sign = "";
        string text;
        if (isNumber)
        {
            (bool isNegative, text) = Digits(value!, layout);
            sign = isNegative ? "-" : layout.Sign == '-' ? "" : layout.Sign.ToString();
        }
        else
        {
            text = Values.ToText(value);
            IReadOnlyList<string> characters = layout.Precision >= 0 ? Values.Characters(text) : [];
            text = layout.Precision >= 0 && layout.Precision < characters.Count ? string.Concat(characters.Take(layout.Precision)) : text;
        }

        int room = layout.Width - sign.Length - (text.IsAscii() ? text.Length : Values.Characters(text).Count);
        string blanks = room > 0 ? new string(layout.Fill, room) : "";
        return (layout.Align == '\0' ? isNumber ? '>' : '<' : layout.Align) switch
        {
            '<' => sign + text + blanks,
            '=' => sign + blanks + text,
            '^' => blanks[..(blanks.Length / 2)] + sign + text + blanks[(blanks.Length / 2)..],
            _ => blanks + sign + text,
        };
    }

    private static bool IsAscii(this string text) => Ascii.IsValid(text);

    private static (bool IsNegative, string Text) Digits(object value, Layout layout)
    {
        char type = layout.Type == '\0' ? value is double ? layout.Precision < 0 ? 'r' : 'g' : 'd' : layout.Type;
        if (type is 'd' or 'x' or 'X' or 'o' or 'b')
        {
            BigInteger integer = value is double
                ? throw new ChatTemplateException($"The format '{type}' needs an integer.")
                : value is BigInteger large ? large : Values.ToInteger(value);
            string digits = type switch
            {
                'd' => Grouped(BigInteger.Abs(integer).ToString(CultureInfo.InvariantCulture), layout.Grouping),
                'b' => BigInteger.Abs(integer).ToString("b", CultureInfo.InvariantCulture).TrimStart('0'),
                'o' => Octal(BigInteger.Abs(integer)),
                _ => BigInteger.Abs(integer).ToString(type.ToString(), CultureInfo.InvariantCulture).TrimStart('0'),
            };
            digits = digits.Length == 0 ? "0" : digits;
            return (integer < 0, (layout.Alternate && type != 'd' ? $"0{type}" : "") + digits.PadLeft(Math.Max(layout.Precision, 0), '0'));
        }

        double number = Values.ToNumber(value);
        bool isNegative = double.IsNegative(number) && !double.IsNaN(number);
        number = Math.Abs(number);
        if (!double.IsFinite(number))
        {
            return (isNegative, Values.FloatText(number));
        }

        int precision = layout.Precision < 0 ? 6 : layout.Precision;
        string text = type switch
        {
            'f' or 'F' => Fixed(number, precision),
            '%' => Fixed(number * 100, precision) + "%",
            'e' or 'E' => Exponential(number, precision),
            'g' or 'G' => General(number, Math.Max(precision, 1), layout.Alternate),
            'r' => Values.FloatText(number),
            _ => throw new ChatTemplateException($"The format '{type}' is not supported for numbers."),
        };
        text = type is 'E' or 'G' ? text.ToUpperInvariant() : text;
        int point = text.AsSpan().IndexOfAny(".e%");
        return (isNegative, point < 0 ? Grouped(text, layout.Grouping) : Grouped(text[..point], layout.Grouping) + text[point..]);
    }

    /// <summary>round(x * 10^p), ties to even, with a point before the last p digits: exact, since x is m * 2^e.</summary>
    private static string Fixed(double number, int precision)
    {
        long bits = BitConverter.DoubleToInt64Bits(number);
        int exponent = (int)((bits >> 52) & 0x7FF);
        BigInteger mantissa = (bits & 0xFFFFFFFFFFFFF) | (exponent == 0 ? 0 : 1L << 52);
        exponent = Math.Max(exponent, 1) - 1075;
        BigInteger scaled = mantissa * BigInteger.Pow(10, precision);
        if (exponent >= 0)
        {
            scaled <<= exponent;
        }
        else
        {
            BigInteger half = BigInteger.One << (-exponent - 1);
            BigInteger whole = scaled >> -exponent;
            BigInteger rest = scaled - (whole << -exponent);
            scaled = rest > half || (rest == half && !whole.IsEven) ? whole + 1 : whole;
        }

        string digits = scaled.ToString(CultureInfo.InvariantCulture).PadLeft(precision + 1, '0');
        return precision == 0 ? digits : $"{digits[..^precision]}.{digits[^precision..]}";
    }

    private static string Exponential(double number, int precision) =>
        number.ToString((precision == 0 ? "0" : "0." + new string('0', precision)) + "e+00", CultureInfo.InvariantCulture);

    private static string General(double number, int precision, bool keepsZeros)
    {
        string exponential = Exponential(number, precision - 1);
        int exponent = int.Parse(
            exponential.AsSpan(exponential.IndexOf('e') + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        if (exponent >= -4 && exponent < precision)
        {
            return Trim(Fixed(number, precision - 1 - exponent));
        }

        int end = exponential.IndexOf('e');
        return Trim(exponential[..end]) + exponential[end..];

        string Trim(string text) => keepsZeros || !text.Contains('.') ? text : text.TrimEnd('0').TrimEnd('.');
    }

    private static string Octal(BigInteger integer)
    {
        var digits = new StringBuilder();
        for (; !integer.IsZero; integer >>= 3)
        {
            digits.Insert(0, (char)('0' + (int)(integer & 7)));
        }

        return digits.ToString();
    }

    private static string Grouped(string digits, char separator)
    {
        if (separator == '\0')
        {
            return digits;
        }

        var grouped = new StringBuilder(digits);
        for (int at = digits.Length - 3; at > 0; at -= 3)
        {
            grouped.Insert(at, separator);
        }

        return grouped.ToString();
    }

    private static ChatTemplateException Broken(string format) => new($"The format '{format}' is broken.");
}
