using System.Globalization;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>Filters that choose, order and part the items of a list.</summary>
internal static class SequenceFilters
{
    /// <summary>The items, or what they have under a name.</summary>
    public static IEnumerable<object?> Select(object? value, string? attribute) =>
        attribute is null ? Values.Items(value) : Values.Items(value).Select(item => Follow(item, attribute));

    public static List<object?> Sort(RenderContext context, object? value, Arguments arguments)
    {
        bool isReversed = Values.IsTrue(arguments.Get(0, "reverse", false));
        bool isCaseSensitive = Values.IsTrue(arguments.Get(1, "case_sensitive", false));
        return Sorted(context, Values.Items(value), arguments.Text(2, "attribute"), isCaseSensitive, isReversed);
    }

    /// <summary>The pairs of a dictionary, by their keys or values.</summary>
    public static List<object?> SortPairs(RenderContext context, object? value, Arguments arguments)
    {
        IReadOnlyDictionary<string, object?> dictionary = value as IReadOnlyDictionary<string, object?>
            ?? throw new ChatTemplateException($"dictsort needs a mapping, not {Values.TypeName(value)}.");
        string by = arguments.Text(1, "by") ?? "key";
        if (by is not ("key" or "value"))
        {
            throw new ChatTemplateException("dictsort goes by \"key\" or \"value\".");
        }

        return Sorted(context, Members.Pairs(dictionary), by == "key" ? "0" : "1",
            Values.IsTrue(arguments.Get(0, "case_sensitive", false)), Values.IsTrue(arguments.Get(2, "reverse", false)));
    }

    /// <summary>Groups of items that have the same under a name, in that order; letters of either case are the same.</summary>
    public static List<object?> GroupBy(RenderContext context, object? value, Arguments arguments)
    {
        string attribute = AttributeText(arguments.Need(0, "attribute"));
        object? otherwise = arguments.Get(1, "default");
        bool isCaseSensitive = Values.IsTrue(arguments.Get(2, "case_sensitive", false));
        object? Of(object? item) => Follow(item, attribute) is var found && found is Undefined && otherwise is not null ? otherwise : found;
        var groups = new List<object?>();
        List<object?> items = [];
        foreach (object? item in Sorted(context, Values.Items(value), Of, isCaseSensitive, isReversed: false))
        {
            if (items.Count > 0 && !Values.AreEqual(Folded(Of(items[0]), isCaseSensitive), Folded(Of(item), isCaseSensitive)))
            {
                groups.Add(new Group(Of(items[0]), items));
                items = [];
            }

            items.Add(item);
        }

        return items.Count == 0 ? groups : [.. groups, new Group(Of(items[0]), items)];
    }

    /// <summary>Lists of so many items, the last one filled up where a filling is given.</summary>
    public static List<object?> Batch(object? value, Arguments arguments)
    {
        int size = (int)Math.Clamp(Values.ToInteger(arguments.Need(0, "linecount")), 1, RenderContext.MaxLength);
        object? filling = arguments.Get(1, "fill_with");
        var batches = new List<object?>();
        foreach (object?[] items in Values.Items(value).Chunk(size))
        {
            batches.Add(filling is null ? new List<object?>(items) : [.. items, .. Enumerable.Repeat(filling, size - items.Length)]);
        }

        return batches;
    }

    /// <summary>The items in so many lists of nearly equal length, the longer ones first.</summary>
    public static List<object?> Slice(RenderContext context, object? value, Arguments arguments)
    {
        long count = Values.ToInteger(arguments.Need(0, "slices"));
        if (count <= 0)
        {
            throw new ChatTemplateException("slice needs a number of lists above 0.");
        }

        context.Reserve(count);
        object? filling = arguments.Get(1, "fill_with");
        IReadOnlyList<object?> items = Values.Items(value);
        (long each, long longer) = Math.DivRem(items.Count, count);
        var slices = new List<object?>();
        int at = 0;
        for (long i = 0; i < count; i++)
        {
            int length = (int)(each + (i < longer ? 1 : 0));
            List<object?> slice = [.. items.Skip(at).Take(length)];
            if (filling is not null && i >= longer)
            {
                slice.Add(filling);
            }

            slices.Add(slice);
            at += length;
        }

        return slices;
    }

    public static List<object?> Unique(RenderContext context, object? value, Arguments arguments)
    {
        bool isCaseSensitive = Values.IsTrue(arguments.Get(0, "case_sensitive", false));
        string? attribute = arguments.Text(1, "attribute");
        var keys = new List<object?>();
        var kept = new List<object?>();
        foreach (object? item in Values.Items(value))
        {
            object? key = Folded(attribute is null ? item : Follow(item, attribute), isCaseSensitive);
            context.Count(1 + (keys.Count * (long)Values.CostOf(key)));
            if (Values.IndexOf(keys, key) < 0)
            {
                keys.Add(key);
                kept.Add(item);
            }
        }

        return kept;
    }

    /// <summary>The items' attributes, or the items through another filter; of nothing, nothing.</summary>
    public static List<object?> Map(RenderContext context, object? value, Arguments arguments)
    {
        IReadOnlyList<object?> items = ItemsOrNone(value);
        context.Count(items.Count);
        if (arguments.Positional.Count == 0)
        {
            string attribute = arguments.Named.TryGetValue("attribute", out object? named) ? AttributeText(named)
                : throw new ChatTemplateException("map needs a filter or an attribute.");
            arguments.Named.TryGetValue("default", out object? otherwise);
            return items.Select(item => Follow(item, attribute) is var found && found is Undefined && otherwise is not null
                ? otherwise : found).ToList();
        }

        string name = Values.NeedText(arguments.Positional[0]);
        var rest = new Arguments([.. arguments.Positional.Skip(1)], arguments.Named);
        return items.Select(item => Filters.Apply(context, name, item, rest)).ToList();
    }

    /// <summary>
    /// The items (with an attribute) for which a test holds or not; without a test, those that are true or not. Of nothing, nothing.
    /// </summary>
    public static List<object?> Choose(RenderContext context, object? value, string? attribute, Arguments arguments, int testAt, bool keep)
    {
        string? test = arguments.Positional.Count > testAt ? Values.NeedText(arguments.Positional[testAt]) : null;
        object?[] rest = [.. arguments.Positional.Skip(testAt + 1)];
        return [.. ItemsOrNone(value).Where(item =>
        {
            context.Count(1);
            object? tested = attribute is null ? item : Follow(item, attribute);
            return keep == (test is null ? Values.IsTrue(tested) : ValueTests.Holds(test, tested, rest));
        })];
    }

    public static object? Least(RenderContext context, object? value, Arguments arguments, int sign)
    {
        bool isCaseSensitive = Values.IsTrue(arguments.Get(0, "case_sensitive", false));
        string? attribute = arguments.Text(1, "attribute");
        object? Key(object? item) => Folded(attribute is null ? item : Follow(item, attribute), isCaseSensitive);
        return Values.Items(value).DefaultIfEmpty(new Undefined("the least or greatest of nothing"))
            .Aggregate((a, b) => Compare(context, Key(b), Key(a)) * sign < 0 ? b : a);
    }

    /// <summary>An attribute by its name, or an item by its number.</summary>
    public static string AttributeText(object? attribute) =>
        attribute is long index ? index.ToString(CultureInfo.InvariantCulture) : Values.NeedText(attribute);

    private static IReadOnlyList<object?> ItemsOrNone(object? value) => value is null ? [] : Values.Items(value);

    /// <summary>An attribute, or attributes of attributes with points between.</summary>
    private static object? Follow(object? value, string path) => path.Split('.').Aggregate(
        value, (from, name) => long.TryParse(name, CultureInfo.InvariantCulture, out long index)
            ? Members.Item(from, index) : Members.Item(from, name));

    private static List<object?> Sorted(RenderContext context, IReadOnlyList<object?> items, string? attribute, bool isCaseSensitive,
        bool isReversed) =>
        Sorted(context, items, item => attribute is null ? item : Follow(item, attribute), isCaseSensitive, isReversed);

    private static List<object?> Sorted(RenderContext context, IReadOnlyList<object?> items, Func<object?, object?> key,
        bool isCaseSensitive, bool isReversed)
    {
        context.Count(items.Count);
        Comparer<object?> order = Comparer<object?>.Create((a, b) => Compare(context, a, b));
        object? Key(object? item)
        {
            object? found = key(item);
            context.Reserve(found is string text && !isCaseSensitive ? text.Length : 0);
            return Folded(found, isCaseSensitive);
        }

        return isReversed ? [.. items.OrderByDescending(Key, order)] : [.. items.OrderBy(Key, order)];
    }

    private static object? Folded(object? key, bool isCaseSensitive) =>
        key is string text && !isCaseSensitive ? text.ToLowerInvariant() : key;

    private static int Compare(RenderContext context, object? left, object? right)
    {
        context.Count(Values.CostOf(left));
        return Values.Compare(left, right);
    }
}
