using System.Globalization;
using System.Numerics;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>The filters after <c>|</c>.</summary>
internal static class Filters
{
    private static readonly Dictionary<string, Func<RenderContext, object?, Arguments, object?>> s_filters = new()
    {
        ["trim"] = (_, value, arguments) => StringMethods.Strip(Values.ToText(value), arguments.Text(0, "chars"), left: true, right: true),
        ["upper"] = (_, value, _) => Values.ToText(value).ToUpperInvariant(),
        ["lower"] = (_, value, _) => Values.ToText(value).ToLowerInvariant(),
        ["title"] = (_, value, _) => StringMethods.Title(Values.ToText(value)),
        ["capitalize"] = (_, value, _) => StringMethods.Capitalize(Values.ToText(value)),
        ["string"] = (_, value, _) => Values.ToText(value),
        ["safe"] = (_, value, _) => value,
        ["escape"] = (_, value, _) => Escape(Values.ToText(value)),
        ["e"] = (_, value, _) => Escape(Values.ToText(value)),
        ["indent"] = (context, value, arguments) => Indent(context, Values.ToText(value), arguments),
        ["replace"] = (context, value, arguments) => StringMethods.Replace(
            context, Values.ToText(value), Values.NeedText(arguments.Need(0, "old")), Values.NeedText(arguments.Need(1, "new")),
            arguments.Get(2, "count")),
        ["length"] = (_, value, _) => Length(value),
        ["count"] = (_, value, _) => Length(value),
        ["first"] = (_, value, _) => Values.Items(value) is { Count: > 0 } items ? items[0] : new Undefined("the first item of nothing"),
        ["last"] = (_, value, _) => Values.Items(value) is { Count: > 0 } items ? items[^1] : new Undefined("the last item of nothing"),
        ["list"] = (_, value, _) => Values.Items(value).ToList(),
        ["reverse"] = (_, value, _) => value is string text
            ? string.Concat(Values.Characters(text).Reverse())
            : Values.Items(value).Reverse().ToList(),
        ["join"] = (context, value, arguments) => StringMethods.Join(
            context, arguments.Text(0, "d") ?? "", SequenceFilters.Select(value, arguments.Text(1, "attribute")).Select(Values.ToText)),
        ["items"] = (_, value, _) => value switch
        {
            Undefined => [],
            IReadOnlyDictionary<string, object?> dictionary => Members.Pairs(dictionary),
            _ => throw new ChatTemplateException($"items needs a mapping, not {Values.TypeName(value)}."),
        },
        ["dictsort"] = SequenceFilters.SortPairs,
        ["default"] = (_, value, arguments) => Default(value, arguments),
        ["d"] = (_, value, arguments) => Default(value, arguments),
        ["int"] = (_, value, arguments) => ToInteger(value, arguments.Get(0, "default", 0L)),
        ["float"] = (_, value, arguments) => ToFloat(value, arguments.Get(0, "default", 0.0)),
        ["abs"] = (_, value, _) =>
            value is long integer ? (object)Math.Abs(Math.Max(integer, -long.MaxValue)) : Math.Abs(Values.ToNumber(value)),
        ["round"] = (_, value, arguments) => Math.Round(
            Values.ToNumber(value), (int)Math.Clamp(Values.ToInteger(arguments.Get(0, "precision", 0L)), 0, 15), MidpointRounding.ToEven),
        ["sum"] = (context, value, arguments) => SequenceFilters.Select(value, arguments.Text(0, "attribute"))
            .Aggregate(arguments.Get(1, "start", 0L), (sum, item) => Operators.Apply(context, sum, "+", item)),
        ["min"] = (context, value, arguments) => SequenceFilters.Least(context, value, arguments, sign: 1),
        ["max"] = (context, value, arguments) => SequenceFilters.Least(context, value, arguments, sign: -1),
        ["sort"] = SequenceFilters.Sort,
        ["unique"] = SequenceFilters.Unique,
        ["groupby"] = SequenceFilters.GroupBy,
        ["batch"] = (_, value, arguments) => SequenceFilters.Batch(value, arguments),
        ["slice"] = SequenceFilters.Slice,
        ["map"] = SequenceFilters.Map,
        ["select"] = (context, value, arguments) => SequenceFilters.Choose(context, value, null, arguments, 0, keep: true),
        ["reject"] = (context, value, arguments) => SequenceFilters.Choose(context, value, null, arguments, 0, keep: false),
        ["selectattr"] = (context, value, arguments) => SequenceFilters.Choose(
            context, value, SequenceFilters.AttributeText(arguments.Need(0, "attribute")), arguments, 1, keep: true),
        ["rejectattr"] = (context, value, arguments) => SequenceFilters.Choose(
            context, value, SequenceFilters.AttributeText(arguments.Need(0, "attribute")), arguments, 1, keep: false),
        ["format"] = (context, value, arguments) => TextFormat.Percent(
            context, Values.ToText(value), arguments.Named.Count > 0 ? arguments.Named : new Tuple(arguments.Positional)),
        ["truncate"] = (_, value, arguments) => Truncate(Values.ToText(value), arguments),
        ["wordcount"] = (_, value, _) => CountWords(Values.ToText(value)),
        ["center"] = (context, value, arguments) =>
            StringMethods.Justify(context, Values.ToText(value), arguments.Get(0, "width", 80L), " ", left: true, right: true),
        ["tojson"] = (context, value, arguments) => ToJson(context, value, arguments),
    };

    public static bool Exists(string name) => s_filters.ContainsKey(name);

    public static object? Apply(RenderContext context, string name, object? value, Arguments arguments) =>
        s_filters.TryGetValue(name, out Func<RenderContext, object?, Arguments, object?>? filter)
            ? filter(context, value, arguments)
            : throw new ChatTemplateException($"The filter '{name}' is not supported.");

    private static long Length(object? value) => value is IReadOnlyDictionary<string, object?> dictionary
        ? dictionary.Count : Values.Items(value).Count;

    private static object? Default(object? value, Arguments arguments)
    {
        bool isMissing = value is Undefined || (Values.IsTrue(arguments.Get(1, "boolean", false)) && !Values.IsTrue(value));
        return isMissing ? arguments.Get(0, "default_value", "") : value;
    }

    private static object? ToInteger(object? value, object? otherwise) => value switch
    {
        long or bool => Values.ToInteger(value),
        BigInteger => value,
        double number when Math.Abs(number) < long.MaxValue => (long)number,
        string text when long.TryParse(text, CultureInfo.InvariantCulture, out long integer) => integer,
        string text when double.TryParse(text, CultureInfo.InvariantCulture, out double number) && Math.Abs(number) < long.MaxValue =>
            (long)number,
        _ => otherwise,
    };

    private static object? ToFloat(object? value, object? otherwise) =>
        Values.IsNumber(value) ? Values.ToNumber(value)
        : value is string text && double.TryParse(text, CultureInfo.InvariantCulture, out double number) ? number
        : otherwise;

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
        .Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);

    private static string Indent(RenderContext context, string text, Arguments arguments)
    {
        object? width = arguments.Get(0, "width", 4L);
        string blanks = width as string ?? new string(' ', (int)Math.Clamp(Values.ToInteger(width), 0, 1000));
        bool indentsFirst = Values.IsTrue(arguments.Get(1, "first", false));
        bool indentsEmpty = Values.IsTrue(arguments.Get(2, "blank", false));
        string[] lines = text.Split('\n');
        context.Reserve(text.Length + ((long)lines.Length * blanks.Length));
        return string.Join('\n', lines.Select((line, i) =>
            (i > 0 || indentsFirst) && (line.Length > 0 || indentsEmpty) ? blanks + line : line));
    }

    /// <summary>At most so many characters, and a mark where some are missing; a few more are let through.</summary>
    private static string Truncate(string text, Arguments arguments)
    {
        IReadOnlyList<string> characters = Values.Characters(text);
        long length = Values.ToInteger(arguments.Get(0, "length", 255L));
        bool cutsWords = Values.IsTrue(arguments.Get(1, "killwords", false));
        string end = arguments.Text(2, "end") ?? "...";
        long leeway = Values.ToInteger(arguments.Get(3, "leeway") ?? 5L);
        if (length < end.Length || leeway < 0)
        {
            throw new ChatTemplateException("truncate leaves no room for its mark.");
        }

        if (characters.Count <= length + leeway)
        {
            return text;
        }

        string kept = string.Concat(characters.Take((int)length - end.Length));
        int blank = kept.LastIndexOf(' ');
        return (cutsWords || blank < 0 ? kept : kept[..blank]) + end;
    }

    /// <summary>Runs of letters, digits and underscores.</summary>
    private static long CountWords(string text)
    {
        long words = 0;
        bool isInside = false;
        foreach (char c in text)
        {
            bool isWord = char.IsLetterOrDigit(c) || c == '_' || char.IsSurrogate(c);
            words += isWord && !isInside ? 1 : 0;
            isInside = isWord;
        }

        return words;
    }

    private static string ToJson(RenderContext context, object? value, Arguments arguments)
    {
        // Python's positions: ensure_ascii, indent, separators, sort_keys.
        string? indent = arguments.Get(1, "indent") switch
        {
            null => null,
            string text => text,
            object width => new string(' ', (int)Math.Clamp(Values.ToInteger(width), 0, 100)),
        };
        IReadOnlyList<object?> separators = arguments.Get(2, "separators") is { } given
            ? Values.Items(given)
            : [indent is null ? ", " : ",", ": "];
        if (separators.Count != 2)
        {
            throw new ChatTemplateException("tojson needs two separators.");
        }

        var json = new JsonText(
            indent, Values.NeedText(separators[0]), Values.NeedText(separators[1]), Values.IsTrue(arguments.Get(0, "ensure_ascii", false)),
            Values.IsTrue(arguments.Get(3, "sort_keys", false)));
        string written = json.Write(value);
        context.Reserve(written.Length);
        return written;
    }
}
