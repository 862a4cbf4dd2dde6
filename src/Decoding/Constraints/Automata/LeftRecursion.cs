namespace Understory.Decoding.Constraints.Automata;

/// <summary>A rule that calls itself before any input would be expanded without end; such grammars are refused by name.</summary>
internal static class LeftRecursion
{
    /// <exception cref="GrammarException">Names the rule.</exception>
    public static void Refuse(List<RuleState> states, Dictionary<GrammarRule, int> starts)
    {
        HashSet<GrammarRule> nullable = Nullable(states, starts);
        var calls = starts.ToDictionary(rule => rule.Key, rule => CalledWithoutInput(states, rule.Value, nullable));
        var done = new HashSet<GrammarRule>();
        foreach (GrammarRule rule in starts.Keys)
        {
            // Depth first, by hand: grammars may be deep. A rule met again while it is open closes a circle.
            var open = new HashSet<GrammarRule>();
            var path = new Stack<(GrammarRule Rule, bool Leave)>([(rule, false)]);
            while (path.TryPop(out (GrammarRule Rule, bool Leave) at))
            {
                if (at.Leave)
                {
                    open.Remove(at.Rule);
                    done.Add(at.Rule);
                }
                else if (open.Contains(at.Rule))
                {
                    throw new GrammarException("", $"The rule '{at.Rule.Name}' is left-recursive: it may begin with itself. Write it with "
                        + "a repetition, as in  expr ::= term (\"+\" term)*.");
                }
                else if (!done.Contains(at.Rule))
                {
                    open.Add(at.Rule);
                    path.Push((at.Rule, true));
                    foreach (GrammarRule called in calls[at.Rule])
                    {
                        path.Push((called, false));
                    }
                }
            }
        }
    }

    private static HashSet<GrammarRule> Nullable(List<RuleState> states, Dictionary<GrammarRule, int> starts)
    {
        var nullable = new HashSet<GrammarRule>();
        int before;
        do
        {
            before = nullable.Count;
            foreach ((GrammarRule rule, int start) in starts)
            {
                if (!nullable.Contains(rule) && WithoutInput(states, start, nullable).Any(state => states[state].Accepts))
                {
                    nullable.Add(rule);
                }
            }
        }
        while (nullable.Count > before);
        return nullable;
    }

    private static HashSet<GrammarRule> CalledWithoutInput(List<RuleState> states, int start, HashSet<GrammarRule> nullable) =>
        [.. WithoutInput(states, start, nullable).SelectMany(state => states[state].Calls).Select(call => call.Rule)];

    private static HashSet<int> WithoutInput(List<RuleState> states, int start, HashSet<GrammarRule> nullable)
    {
        var found = new HashSet<int> { start };
        var open = new Stack<int>(found);
        while (open.TryPop(out int state))
        {
            foreach ((GrammarRule rule, int back) in states[state].Calls)
            {
                if (nullable.Contains(rule) && found.Add(back))
                {
                    open.Push(back);
                }
            }
        }

        return found;
    }
}
