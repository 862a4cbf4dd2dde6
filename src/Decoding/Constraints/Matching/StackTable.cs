using System.Runtime.CompilerServices;
using Understory.Decoding.Constraints.Automata;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// Sets of call stacks, hash-consed: equal sets have one id. A set is a list of frames, each with the set of what lies below it; so many
/// ways through an ambiguous grammar share what they have in common.
/// </summary>
internal sealed class StackTable
{
    /// <summary>The whole grammar ends where this is returned to.</summary>
    public const int Bottom = 0;

    /// <summary>A caller that is not known: what a rule allows whoever called it.</summary>
    public const int Unknown = 1;

    /// <summary>Frames in place of a return state.</summary>
    public const int ReturnsToEnd = -1;
    public const int ReturnsToUnknown = -2;

    private readonly GrammarAutomaton _automaton;
    private readonly List<int[]> _sets = [];
    private readonly Dictionary<int[], int> _known = new(IntArrayComparer.Instance);
    private readonly Dictionary<(int, int), int> _unions = [];

    public StackTable(GrammarAutomaton automaton)
    {
        _automaton = automaton;
        Intern([ReturnsToEnd, 0]);
        Intern([ReturnsToUnknown, 0]);
    }

    public int Count => _sets.Count;

    /// <summary>Pairs of return state and set below.</summary>
    public ReadOnlySpan<int> Frames(int set) => _sets[set];

    /// <summary>A return that can only return in its turn is left out, so that repetition by recursion does not pile up.</summary>
    public int Push(int returnState, int below) => _automaton.IsEnd(returnState) ? below : Intern([returnState, below]);

    public int Union(int a, int b)
    {
        if (a == b)
        {
            return a;
        }

        (int, int) key = a < b ? (a, b) : (b, a);
        if (!_unions.TryGetValue(key, out int union))
        {
            if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            {
                throw new GrammarException("",
                    "The answer is nested too deeply for an ambiguous grammar; make its alternatives differ earlier.");
            }

            union = Intern(Merge(_sets[a], _sets[b]));
            _unions.Add(key, union);
        }

        return union;
    }

    private int[] Merge(int[] a, int[] b)
    {
        var merged = new List<int>(a.Length + b.Length);
        int i = 0;
        int j = 0;
        while (i < a.Length || j < b.Length)
        {
            int order = i == a.Length ? 1 : j == b.Length ? -1 : a[i].CompareTo(b[j]);
            merged.Add(order <= 0 ? a[i] : b[j]);
            merged.Add(order < 0 ? a[i + 1] : order > 0 ? b[j + 1] : a[i] < 0 ? 0 : Union(a[i + 1], b[j + 1]));
            i += order <= 0 ? 2 : 0;
            j += order >= 0 ? 2 : 0;
        }

        return [.. merged];
    }

    private int Intern(int[] frames)
    {
        if (!_known.TryGetValue(frames, out int set))
        {
            set = _sets.Count;
            _sets.Add(frames);
            _known.Add(frames, set);
        }

        return set;
    }
}
