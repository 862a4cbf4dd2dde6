namespace Understory.Models.Tokenizers.Templates;

/// <summary>Attributes, methods, items and slices of values.</summary>
internal static class Members
{
    /// <summary><c>value.name</c>: a method, a member of a mapping, or undefined.</summary>
    public static object? Attribute(object? value, string name) => value switch
    {
        Undefined undefined => throw undefined.Fail(),
        string text => (object?)StringMethods.Find(text, name) ?? new Undefined(name),
        Namespace target => target.Members.TryGetValue(name, out object? member) ? member : new Undefined(name),
        LoopState loop => loop.Attribute(name),
        Group group when name is "grouper" or "list" => group[name == "grouper" ? 0 : 1],
        IReadOnlyDictionary<string, object?> dictionary => DictionaryMethod(dictionary, name) ?? Item(dictionary, name),
        IReadOnlyList<object?> list => (object?)ListMethod(list, name) ?? new Undefined(name),
        _ => new Undefined(name),
    };

    /// <summary><c>value[index]</c>; undefined if there is none.</summary>
    public static object? Item(object? value, object? index)
    {
        switch (value, index)
        {
            case (Undefined undefined, _):
                throw undefined.Fail();
            case (Mapping mapping, _):
                return mapping.TryGet(index, out object? found) ? found : new Undefined(Values.ToText(index));
            case (IReadOnlyDictionary<string, object?> dictionary, string key):
                return dictionary.TryGetValue(key, out object? member) ? member : new Undefined(key);
            case (IReadOnlyList<object?> list, long at):
                return At(list, at);
            case (string text, long at):
                return At(Values.Characters(text), at);
            case (_, string name):
                return Attribute(value, name);
            default:
                return new Undefined(Values.ToText(index));
        }
    }

    public static object? Slice(object? value, object? start, object? stop, object? step)
    {
        long stride = step is null ? 1 : Values.ToInteger(step);
        if (stride == 0)
        {
            throw new ChatTemplateException("A slice cannot have the step 0.");
        }

        IReadOnlyList<object?> items = value is string or IReadOnlyList<object?> ? Values.Items(value)
            : value is Undefined undefined ? throw undefined.Fail()
            : throw new ChatTemplateException($"{Values.TypeName(value)} cannot be sliced.");
        // A longer stride takes the same items, and cannot run over.
        stride = Math.Clamp(stride, -items.Count - 1, items.Count + 1);
        long first = Bound(start, stride > 0 ? 0 : items.Count - 1);
        long end = Bound(stop, stride > 0 ? items.Count : -1);
        var slice = new List<object?>();
        for (long at = first; stride > 0 ? at < end : at > end; at += stride)
        {
            slice.Add(items[(int)at]);
        }

        return value is string ? string.Concat(slice) : slice;

        long Bound(object? given, long otherwise)
        {
            if (given is null)
            {
                return otherwise;
            }

            long at = Values.ToInteger(given);
            at += at < 0 ? items.Count : 0;
            return stride > 0 ? Math.Clamp(at, 0, items.Count) : Math.Clamp(at, -1, items.Count - 1);
        }
    }

    private static object? At(IReadOnlyList<object?> list, long at)
    {
        at += at < 0 ? list.Count : 0;
        return at >= 0 && at < list.Count ? list[(int)at] : new Undefined("an item beyond the end of a list");
    }

    private static Function? DictionaryMethod(IReadOnlyDictionary<string, object?> dictionary, string name) => name switch
    {
        "items" => (_, _) => Pairs(dictionary),
        "keys" => (_, _) => Values.Items(dictionary),
        "values" => (_, _) => dictionary.Values.ToList(),
        "get" => (_, arguments) => Item(dictionary, arguments.Need(0, "key")) is var member && member is not Undefined
            ? member
            : arguments.Get(1, "default"),
        "copy" => (_, _) => dictionary,
        _ => null,
    };

    /// <summary>Keys and values, as tuples of two.</summary>
    public static List<object?> Pairs(IReadOnlyDictionary<string, object?> dictionary) =>
        [.. Values.Members(dictionary).Select(member => new Tuple([member.Key, member.Value]))];

    private static Function? ListMethod(IReadOnlyList<object?> list, string name) => name switch
    {
        "count" => (_, arguments) => Values.CountOf(list, arguments.Need(0, "value")),
        "index" => (_, arguments) => IndexOf(list, arguments.Need(0, "value")),
        _ => null,
    };

    private static long IndexOf(IReadOnlyList<object?> list, object? wanted)
    {
        long at = Values.IndexOf(list, wanted);
        return at >= 0 ? at : throw new ChatTemplateException("The list does not have that value.");
    }
}
