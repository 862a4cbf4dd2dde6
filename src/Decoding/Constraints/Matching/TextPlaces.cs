using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// Where texts stand: a state of the grammar, and the keys that objects have so far. Places are plain numbers, those of the states where
/// no keys must differ. What the state alone allows, the place allows as well, but for tokens that end a key which is there already:
/// <see cref="Repeats"/>. Used from one thread.
/// </summary>
internal sealed class TextPlaces
{
    public const int Dead = MatchStates.Dead;

    private readonly MatchStates _states;
    private readonly ObjectKeys? _keys;
    private readonly List<(int State, int Keys)> _places = [];
    private readonly Dictionary<(int State, int Keys), int> _known = [];
    private readonly Dictionary<int, int[]> _writers = [];
    private readonly Dictionary<int, byte[]> _ends = [];
    private readonly Dictionary<int, int[]> _repeats = [];

    public TextPlaces(MatchStates states, bool hasKeys)
    {
        _states = states;
        _keys = hasKeys ? new ObjectKeys() : null;
        Start = hasKeys ? IdOf(states.Start, ObjectKeys.None) : states.Start;
    }

    /// <summary>Before any text.</summary>
    public int Start { get; }

    public int Count => _states.Count + _places.Count + (_keys?.Count ?? 0);

    public int State(int place) => _keys is null ? place : _places[place].State;

    /// <summary>The place after more text, or <see cref="Dead"/>.</summary>
    public int Advance(int place, ReadOnlySpan<byte> text)
    {
        int state = State(place);
        int keys = _keys is null ? ObjectKeys.None : _places[place].Keys;
        for (int i = 0; i < text.Length && state != Dead; i++)
        {
            if (_keys is not null && (keys = _keys.Next(keys, _states.Marks(state, text[i]), text[i])) == ObjectKeys.Repeated)
            {
                return Dead;
            }

            state = _states.Next(state, text[i]);
        }

        return state == Dead || _keys is null ? state : IdOf(state, keys);
    }

    /// <summary>Tokens that the state allows and the place does not.</summary>
    /// <param name="all">All tokens.</param>
    /// <param name="whole">Those that may hold a whole key: see <see cref="VocabularyTrie.OfWholeKeys"/>.</param>
    public int[] Repeats(int place, VocabularyTrie all, VocabularyTrie whole)
    {
        if (_keys is null)
        {
            return [];
        }

        if (!_repeats.TryGetValue(place, out int[]? tokens))
        {
            (int state, int keys) = _places[place];
            var found = new List<int>();
            foreach (int token in Writers(state, whole))
            {
                if (Advance(place, whole.Bytes(token)) == Dead)
                {
                    found.Add(token);
                }
            }

            foreach (byte[] rest in _keys.Rests(keys))
            {
                foreach (byte end in Ends(state, rest))
                {
                    found.AddRange(all.TokensWith([.. rest, end]));
                }
            }

            _repeats.Add(place, tokens = [.. found]);
        }

        return tokens;
    }

    /// <summary>The bytes that end a key behind the rest of one; none where no key is being written.</summary>
    private byte[] Ends(int state, byte[] rest)
    {
        foreach (byte value in rest)
        {
            if ((_states.Marks(state, value) & KeyMarks.Key) == 0)
            {
                return [];
            }

            state = _states.Next(state, value);
        }

        if (!_ends.TryGetValue(state, out byte[]? ends))
        {
            ends = [.. Enumerable.Range(0, 256).Select(value => (byte)value)
                .Where(value => (_states.Marks(state, value) & KeyMarks.KeyEnds) != 0)];
            _ends.Add(state, ends);
        }

        return ends;
    }

    /// <summary>Tokens that end a key which begins within them: few, whatever the state.</summary>
    private int[] Writers(int state, VocabularyTrie whole)
    {
        if (!_writers.TryGetValue(state, out int[]? writers))
        {
            var found = new List<int>();
            var path = new (int State, bool Begun)[whole.LongestToken + 1];

            // A key that was begun before the token is not one of its own.
            path[0] = (state, true);
            for (int node = 0; node < whole.Count;)
            {
                (int above, bool begun) = path[whole.Depths[node] - 1];
                KeyMarks marks = _states.Marks(above, whole.Values[node]);
                int next = _states.Next(above, whole.Values[node]);
                if (!begun && (marks & KeyMarks.KeyEnds) != 0)
                {
                    found.AddRange(whole.Tokens.AsSpan(whole.FirstTokens[node]..whole.FirstTokens[whole.Ends[node]]));
                }

                if (next == Dead || (!begun && (marks & KeyMarks.KeyEnds) != 0))
                {
                    node = whole.Ends[node];
                    continue;
                }

                path[whole.Depths[node]] = (next, begun && (marks & KeyMarks.Key) != 0);
                node++;
            }

            _writers.Add(state, writers = [.. found]);
        }

        return writers;
    }

    private int IdOf(int state, int keys)
    {
        if (!_known.TryGetValue((state, keys), out int place))
        {
            place = _places.Count;
            _places.Add((state, keys));
            _known.Add((state, keys), place);
        }

        return place;
    }
}
