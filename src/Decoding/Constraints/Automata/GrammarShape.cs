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

    /// <summary>
    /// A rule is recursive if it is reached from itself: if it has itself for a reference, or others that reach it (Tarjan, SIAM J. Comput.
    /// 1 (1972): rules that reach each other are those above the first of them that was entered, when it is left).
    /// </summary>
    private void FindRecursive()
    {
        var entered = new Dictionary<GrammarRule, int>();
        var lowest = new Dictionary<GrammarRule, int>();
        var unassigned = new Stack<GrammarRule>();
        var isUnassigned = new HashSet<GrammarRule>();
        var path = new Stack<(GrammarRule Rule, IEnumerator<GrammarRule> References)>();
        foreach (GrammarRule root in _references.Keys.Where(root => !entered.ContainsKey(root)))
        {
            Enter(root);
            while (path.TryPeek(out (GrammarRule Rule, IEnumerator<GrammarRule> References) at))
            {
                _budget.Work(10);
                if (!at.References.MoveNext())
                {
                    Leave(at.Rule);
                }
                else if (!entered.TryGetValue(at.References.Current, out int number))
                {
                    Enter(at.References.Current);
                }
                else if (isUnassigned.Contains(at.References.Current))
                {
                    lowest[at.Rule] = Math.Min(lowest[at.Rule], number);
                }
            }
        }

        void Enter(GrammarRule rule)
        {
            entered[rule] = lowest[rule] = entered.Count;
            unassigned.Push(rule);
            isUnassigned.Add(rule);
            path.Push((rule, _references[rule].GetEnumerator()));
        }

        void Leave(GrammarRule rule)
        {
            path.Pop();
            if (path.TryPeek(out (GrammarRule Rule, IEnumerator<GrammarRule> References) above))
            {
                lowest[above.Rule] = Math.Min(lowest[above.Rule], lowest[rule]);
            }

            if (lowest[rule] < entered[rule])
            {
                return;
            }

            bool isRecursive = unassigned.Peek() != rule || _references[rule].Contains(rule);
            GrammarRule last;
            do
            {
                last = unassigned.Pop();
                isUnassigned.Remove(last);
                if (isRecursive)
                {
                    _recursive.Add(last);
                }
            }
            while (last != rule);
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
