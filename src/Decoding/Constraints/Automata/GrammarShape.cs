using System.Runtime.CompilerServices;

namespace Understory.Decoding.Constraints.Automata;

/// <summary>Which rules of a grammar refer to themselves, and how large they are.</summary>
internal sealed class GrammarShape
{
    private const int Large = 1000;

    private readonly GrammarBudget _budget;
    private readonly Dictionary<GrammarRule, HashSet<GrammarRule>> _references = [];
    private readonly Dictionary<Grammar, int> _sizes = [];
    private readonly HashSet<GrammarRule> _recursive = [];

    public GrammarShape(Grammar root, GrammarBudget budget)
    {
        _budget = budget;
        var open = new Stack<GrammarRule>(References(root));
        while (open.TryPop(out GrammarRule? rule))
        {
            if (_references.ContainsKey(rule))
            {
                continue;
            }

            if (rule.Body is null)
            {
                throw new GrammarException("", $"The rule '{rule.Name}' has no body.");
            }

            foreach (GrammarRule referred in _references[rule] = References(rule.Body))
            {
                open.Push(referred);
            }
        }

        FindRecursive();
    }

    public bool IsRecursive(GrammarRule rule) => _recursive.Contains(rule);

    /// <summary>About how many states it makes with what it refers to; large numbers are cut.</summary>
    public int Size(Grammar part)
    {
        if (part is GrammarRule { } rule && _recursive.Contains(rule))
        {
            return 1;
        }

        if (!_sizes.TryGetValue(part, out int size))
        {
            Guard();
            size = part switch
            {
                GrammarLiteral literal => literal.Bytes.Length,
                GrammarClass set => Math.Min(set.Set.Ranges.Count, 4),
                GrammarSequence sequence => Sum(sequence.Parts),
                GrammarChoice choice => Sum(choice.Options),
                GrammarRepeat repeat => (int)Math.Min(Large, (long)Size(repeat.Body) * Math.Max(1, repeat.Max ?? repeat.Min)),
                GrammarRule named => Size(named.Body),
                GrammarMarked marked => Size(marked.Body),
                GrammarCombination => Large,
                _ => 4,
            };
            _sizes.Add(part, Math.Min(size, Large));
        }

        return size;
    }

    private int Sum(Grammar[] parts)
    {
        int sum = 1;
        for (int i = 0; i < parts.Length && sum < Large; i++)
        {
            sum += Size(parts[i]);
        }

        return sum;
    }

    /// <summary>Rules that a part names itself, not by way of other rules.</summary>
    private HashSet<GrammarRule> References(Grammar root)
    {
        var found = new HashSet<GrammarRule>();
        var seen = new HashSet<Grammar>();
        var open = new Stack<Grammar>([root]);
        while (open.TryPop(out Grammar? part))
        {
            if (!seen.Add(part))
            {
                continue;
            }

            _budget.Work(4);
            switch (part)
            {
                case GrammarRule rule:
                    found.Add(rule);
                    break;
                case GrammarSequence sequence:
                    Array.ForEach(sequence.Parts, open.Push);
                    break;
                case GrammarChoice choice:
                    Array.ForEach(choice.Options, open.Push);
                    break;
                case GrammarRepeat repeat:
                    open.Push(repeat.Body);
                    break;
                case GrammarMarked marked:
                    open.Push(marked.Body);
                    break;
                case GrammarCombination combination:
                    open.Push(combination.A);
                    open.Push(combination.B);
                    break;
            }
        }

        return found;
    }

    /// <summary>A rule is recursive if it is reached from itself.</summary>
    private void FindRecursive()
    {
        foreach (GrammarRule rule in _references.Keys)
        {
            var reached = new HashSet<GrammarRule>();
            var open = new Stack<GrammarRule>(_references[rule]);
            while (open.TryPop(out GrammarRule? next))
            {
                _budget.Work(1);
                if (reached.Add(next))
                {
                    foreach (GrammarRule referred in _references[next])
                    {
                        open.Push(referred);
                    }
                }
            }

            if (reached.Contains(rule))
            {
                _recursive.Add(rule);
            }
        }
    }

    private static void Guard()
    {
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new GrammarException("", "The grammar is nested too deeply; flatten it, or move parts into rules.");
        }
    }
}
