namespace Understory.Models.Tokenizers.Templates;

/// <summary>The functions that every template has.</summary>
internal static class Globals
{
    private const long MaxRange = 1_000_000;

    public static IReadOnlyDictionary<string, object?> All { get; } = new Dictionary<string, object?>
    {
        ["namespace"] = new Function((_, arguments) => FillNamespace(arguments)),
        ["dict"] = new Function((_, arguments) => Dictionary(arguments)),
        ["range"] = new Function((context, arguments) => Range(context, arguments)),
        ["raise_exception"] = new Function((_, arguments) => throw new ChatTemplateException(Values.ToText(arguments.Need(0, "message")))),
        ["strftime_now"] = new Function((context, arguments) =>
            TimeText.Format(context.Time.GetLocalNow(), Values.NeedText(arguments.Need(0, "format")))),
    };

    private static IReadOnlyDictionary<string, object?> Dictionary(Arguments arguments)
    {
        IEnumerable<(object? Key, object? Value)> given = arguments.Positional.SelectMany(source =>
            source is IReadOnlyDictionary<string, object?> dictionary ? Members.Pairs(dictionary) : Values.Items(source)).Select(pair =>
                Values.Items(pair) is [var key, var value] ? (key, value)
                    : throw new ChatTemplateException("dict takes a mapping, or pairs of a key and a value."));
        return Mapping.Of([.. given, .. arguments.Named.Select(member => ((object?)member.Key, member.Value))]);
    }

    private static Namespace FillNamespace(Arguments arguments)
    {
        var filled = new Namespace();
        foreach (object? source in arguments.Positional)
        {
            foreach (object? pair in source is IReadOnlyDictionary<string, object?> dictionary ? Members.Pairs(dictionary) : [])
            {
                IReadOnlyList<object?> member = Values.Items(pair);
                filled.Members[Values.ToText(member[0])] = member[1];
            }
        }

        foreach ((string name, object? value) in arguments.Named)
        {
            filled.Members[name] = value;
        }

        return filled;
    }

    private static List<object?> Range(RenderContext context, Arguments arguments)
    {
        long[] bounds = [.. arguments.Positional.Select(Values.ToInteger)];
        (long start, long stop, long step) = bounds.Length switch
        {
            1 => (0, bounds[0], 1),
            2 => (bounds[0], bounds[1], 1),
            3 => (bounds[0], bounds[1], bounds[2]),
            _ => throw new ChatTemplateException("range takes one to three integers."),
        };
        // Rounded up; in 128 bits, because the last value and a step may lie beyond 64.
        Int128 length = step == 0 ? MaxRange + 1 : ((Int128)stop - start + step - Math.Sign(step)) / step;
        if (length > MaxRange)
        {
            throw new ChatTemplateException("The range is too long.");
        }

        var items = new List<object?>();
        for (int i = 0; i < length; i++)
        {
            items.Add(start + (i * step));
        }

        context.Reserve(items.Count);
        return items;
    }
}
