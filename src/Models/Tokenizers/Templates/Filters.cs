using System.Globalization;

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
            context, arguments.Text(0, "d") ?? "", Select(value, arguments.Text(1, "attribute")).Select(Values.ToText)),
        ["items"] = (_, value, _) => value switch
        {
            Undefined => [],
            IReadOnlyDictionary<string, object?> dictionary => Members.Pairs(dictionary),
            _ => throw new ChatTemplateException($"items needs a mapping, not {Values.TypeName(value)}."),
        },
        ["dictsort"] = (_, value, _) => value is IReadOnlyDictionary<string, object?> dictionary
            ? Members.Pairs(dictionary).OrderBy(pair => ((string)((List<object?>)pair!)[0]!).ToLowerInvariant(), StringComparer.Ordinal)
            .ToList()
            : throw new ChatTemplateException($"dictsort needs a mapping, not {Values.TypeName(value)}."),
        ["default"] = (_, value, arguments) => Default(value, arguments),
        ["d"] = (_, value, arguments) => Default(value, arguments),
        ["int"] = (_, value, arguments) => ToInteger(value, arguments.Get(0, "default", 0L)),
        ["float"] = (_, value, arguments) => ToFloat(value, arguments.Get(0, "default", 0.0)),
        ["abs"] = (_, value, _) =>
            value is long integer ? (object)Math.Abs(Math.Max(integer, -long.MaxValue)) : Math.Abs(Values.ToNumber(value)),
        ["round"] = (_, value, arguments) => Math.Round(
            Values.ToNumber(value), (int)Math.Clamp(Values.ToInteger(arguments.Get(0, "precision", 0L)), 0, 15), MidpointRounding.ToEven),
        ["sum"] = (context, value, arguments) => Select(value, arguments.Text(0, "attribute"))
            .Aggregate(arguments.Get(1, "start", 0L), (sum, item) => Operators.Apply(context, sum, "+", item)),
        ["min"] = (context, value, _) => Values.Items(value).DefaultIfEmpty(new Undefined("the least of nothing"))
            .Aggregate((a, b) => Compare(context, b, a) < 0 ? b : a),
        ["max"] = (context, value, _) => Values.Items(value).DefaultIfEmpty(new Undefined("the greatest of nothing"))
            .Aggregate((a, b) => Compare(context, b, a) > 0 ? b : a),
        ["sort"] = (context, value, arguments) => Sort(context, value, arguments),
        ["unique"] = (context, value, _) => Unique(context, Values.Items(value)),
        ["map"] = Map,
        ["select"] = (context, value, arguments) => Choose(context, value, null, arguments, 0, keep: true),
        ["reject"] = (context, value, arguments) => Choose(context, value, null, arguments, 0, keep: false),
        ["selectattr"] = (context, value, arguments) =>
            Choose(context, value, Values.NeedText(arguments.Need(0, "attribute")), arguments, 1, keep: true),
        ["rejectattr"] = (context, value, arguments) =>
            Choose(context, value, Values.NeedText(arguments.Need(0, "attribute")), arguments, 1, keep: false),
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

    private static IEnumerable<object?> Select(object? value, string? attribute) =>
        attribute is null ? Values.Items(value) : Values.Items(value).Select(item => Follow(item, attribute));

    /// <summary>An attribute, or attributes of attributes with points between.</summary>
    private static object? Follow(object? value, string path) => path.Split('.').Aggregate(
        value, (from, name) => long.TryParse(name, CultureInfo.InvariantCulture, out long index)
            ? Members.Item(from, index) : Members.Item(from, name));

    private static List<object?> Sort(RenderContext context, object? value, Arguments arguments)
    {
        bool isReversed = Values.IsTrue(arguments.Get(0, "reverse", false));
        bool isCaseSensitive = Values.IsTrue(arguments.Get(1, "case_sensitive", false));
        string? attribute = arguments.Text(2, "attribute");
        List<object?> items = [.. Values.Items(value)];
        context.Count(items.Count);
        Comparer<object?> order = Comparer<object?>.Create((a, b) => Compare(context, a, b));
        object? Key(object? item)
        {
            object? key = attribute is null ? item : Follow(item, attribute);
            if (key is not string text || isCaseSensitive)
            {
                return key;
            }

            context.Reserve(text.Length);
            return text.ToLowerInvariant();
        }

        return isReversed ? [.. items.OrderByDescending(Key, order)] : [.. items.OrderBy(Key, order)];
    }

    private static int Compare(RenderContext context, object? left, object? right)
    {
        context.Count(Values.CostOf(left));
        return Values.Compare(left, right);
    }

    private static List<object?> Unique(RenderContext context, IReadOnlyList<object?> items)
    {
        var kept = new List<object?>();
        foreach (object? item in items)
        {
            context.Count(1 + (kept.Count * (long)Values.CostOf(item)));
            if (Values.IndexOf(kept, item) < 0)
            {
                kept.Add(item);
            }
        }

        return kept;
    }

    /// <summary>The items' attributes, or the items through another filter.</summary>
    private static List<object?> Map(RenderContext context, object? value, Arguments arguments)
    {
        IReadOnlyList<object?> items = Values.Items(value);
        context.Count(items.Count);
        if (arguments.Positional.Count == 0)
        {
            string attribute = arguments.Text(0, "attribute") ?? throw new ChatTemplateException("map needs a filter or an attribute.");
            arguments.Named.TryGetValue("default", out object? otherwise);
            return items.Select(item => Follow(item, attribute) is var found && found is Undefined && otherwise is not null
                ? otherwise : found).ToList();
        }

        string name = Values.NeedText(arguments.Positional[0]);
        var rest = new Arguments([.. arguments.Positional.Skip(1)], arguments.Named);
        return items.Select(item => Apply(context, name, item, rest)).ToList();
    }

    /// <summary>The items (with an attribute) for which a test holds or not; without a test, those that are true or not.</summary>
    private static List<object?> Choose(RenderContext context, object? value, string? attribute, Arguments arguments, int testAt, bool keep)
    {
        string? test = arguments.Positional.Count > testAt ? Values.NeedText(arguments.Positional[testAt]) : null;
        object?[] rest = [.. arguments.Positional.Skip(testAt + 1)];
        return [.. Values.Items(value).Where(item =>
        {
            context.Count(1);
            object? tested = attribute is null ? item : Follow(item, attribute);
            return keep == (test is null ? Values.IsTrue(tested) : ValueTests.Holds(test, tested, rest));
        })];
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
