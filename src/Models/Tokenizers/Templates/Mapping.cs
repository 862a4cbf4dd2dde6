using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Understory.Models.Tokenizers.Templates;

/// <summary>A list that cannot be changed and that prints in round brackets: Python's tuple.</summary>
internal class Tuple(IEnumerable<object?> items) : IReadOnlyList<object?>
{
    private readonly object?[] _items = [.. items];

    public int Count => _items.Length;

    public object? this[int index] => _items[index];

    public IEnumerator<object?> GetEnumerator() => ((IEnumerable<object?>)_items).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => _items.GetEnumerator();
}

/// <summary>What <c>groupby</c> gives: a value, and the items that have it.</summary>
internal sealed class Group(object? grouper, IReadOnlyList<object?> items) : Tuple([grouper, items]);

/// <summary>
/// A dictionary some of whose keys are no strings, which keep their type: <c>{512: 128}</c>. As a dictionary from strings it has the
/// members whose keys are strings.
/// </summary>
internal sealed class Mapping : IReadOnlyDictionary<string, object?>
{
    private readonly OrderedDictionary<object, (object? Key, object? Value)> _members = [];

    private Mapping()
    {
    }

    /// <summary>Every member, in order.</summary>
    public IEnumerable<KeyValuePair<object?, object?>> Members =>
        _members.Values.Select(member => KeyValuePair.Create(member.Key, member.Value));

    public int Count => _members.Count;

    public IEnumerable<string> Keys => Texts.Select(member => member.Key);

    public IEnumerable<object?> Values => _members.Values.Select(member => member.Value);

    private IEnumerable<KeyValuePair<string, object?>> Texts => _members.Values.Where(member => member.Key is string)
        .Select(member => KeyValuePair.Create((string)member.Key!, member.Value));

    public object? this[string key] => _members[key].Value;

    /// <summary>A dictionary of these members; of equal keys the first stays and the last value counts, as in Python.</summary>
    /// <exception cref="ChatTemplateException">A key is a list or a dictionary.</exception>
    public static IReadOnlyDictionary<string, object?> Of(IReadOnlyList<(object? Key, object? Value)> members)
    {
        if (members.All(member => member.Key is string))
        {
            var plain = new OrderedDictionary<string, object?>();
            foreach ((object? key, object? value) in members)
            {
                plain[(string)key!] = value;
            }

            return plain;
        }

        var mapping = new Mapping();
        foreach ((object? key, object? value) in members)
        {
            object hashed = Hashed(key);
            bool isKnown = mapping._members.TryGetValue(hashed, out (object? Key, object? Value) first);
            mapping._members[hashed] = (isKnown ? first.Key : key, value);
        }

        return mapping;
    }

    public bool TryGet(object? key, out object? value)
    {
        bool isThere = _members.TryGetValue(Hashed(key), out (object? Key, object? Value) member);
        value = member.Value;
        return isThere;
    }

    public bool ContainsKey(string key) => _members.ContainsKey(key);

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out object? value) => TryGet(key, out value);

    public IEnumerator<KeyValuePair<string, object?>> GetEnumerator() => Texts.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Equal numbers are the same key, whatever their type.</summary>
    private static object Hashed(object? key) => key switch
    {
        null => typeof(void),
        bool flag => flag ? 1L : 0L,
        double number when number == Math.Floor(number) && Math.Abs(number) < 1L << 53 => (long)number,
        Undefined undefined => throw undefined.Fail(),
        IReadOnlyList<object?> or IReadOnlyDictionary<string, object?> =>
            throw new ChatTemplateException($"{Templates.Values.TypeName(key)} cannot be a key."),
        _ => key,
    };
}
