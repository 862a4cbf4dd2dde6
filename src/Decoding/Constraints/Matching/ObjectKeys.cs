using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// What a text has written of keys, hash-consed: its open objects, each with the keys that it has, and the key that is being written.
/// Never changes, so the nodes of a tree share it. Keys are compared by their bytes: grammars write each in one way only.
/// </summary>
internal sealed class ObjectKeys
{
    /// <summary>No object is open.</summary>
    public const int None = 0;

    /// <summary>A key was written that its object has already.</summary>
    public const int Repeated = -1;

    private readonly Table<(int Below, int Keys, int Part)> _objects = new();

    /// <summary>Lists of keys, the last one first; the empty one is 0.</summary>
    private readonly Table<(int Before, int Part, bool IsOne)> _keys = new();

    /// <summary>Beginnings of keys as a trie; the empty one is 0.</summary>
    private readonly Table<(int Before, byte Last, int Length)> _parts = new();

    public int Count => _objects.Count + _keys.Count + _parts.Count;

    /// <summary>After one more byte; <see cref="Repeated"/> where it ends a key that is there already.</summary>
    public int Next(int at, KeyMarks marks, byte value)
    {
        (int below, int keys, int part) = _objects[at];
        if ((marks & KeyMarks.KeyEnds) != 0)
        {
            return Has(keys, part) ? Repeated : _objects.IdOf((below, _keys.IdOf((keys, part, true)), 0));
        }

        if ((marks & KeyMarks.Key) != 0)
        {
            return _objects.IdOf((below, keys, _parts.IdOf((part, value, _parts[part].Length + 1))));
        }

        at = part == 0 ? at : _objects.IdOf((below, keys, 0));
        at = (marks & KeyMarks.Closes) != 0 ? below : at;
        return (marks & KeyMarks.Opens) != 0 ? _objects.IdOf((at, 0, 0)) : at;
    }

    /// <summary>What is left to write of each key that the innermost object has and that begins as the one being written.</summary>
    public IEnumerable<byte[]> Rests(int at)
    {
        (_, int keys, int part) = _objects[at];
        int length = _parts[part].Length;
        for (; keys != 0; keys = _keys[keys].Before)
        {
            int key = _keys[keys].Part;
            byte[] rest = new byte[Math.Max(0, _parts[key].Length - length)];
            for (int i = rest.Length - 1; i >= 0; i--)
            {
                (key, rest[i], _) = _parts[key];
            }

            if (key == part)
            {
                yield return rest;
            }
        }
    }

    private bool Has(int keys, int part)
    {
        for (; keys != 0; keys = _keys[keys].Before)
        {
            if (_keys[keys].Part == part)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Numbers for values; the default value is 0.</summary>
    private sealed class Table<T>
        where T : struct
    {
        private readonly List<T> _values = [default];
        private readonly Dictionary<T, int> _known = new() { [default] = 0 };

        public int Count => _values.Count;

        public T this[int id] => _values[id];

        public int IdOf(T value)
        {
            if (!_known.TryGetValue(value, out int id))
            {
                id = _values.Count;
                _values.Add(value);
                _known.Add(value, id);
            }

            return id;
        }
    }
}
