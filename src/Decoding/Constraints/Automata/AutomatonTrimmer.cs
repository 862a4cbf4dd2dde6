namespace Understory.Decoding.Constraints.Automata;

/// <summary>Cuts whatever leads nowhere: afterwards each state that can be reached can be completed.</summary>
internal static class AutomatonTrimmer
{
    /// <exception cref="GrammarException">The root allows no text.</exception>
    public static void Trim(List<RuleState> states, Dictionary<GrammarRule, int> starts, GrammarRule root)
    {
        bool[] live = Live(states, starts);
        if (!live[starts[root]])
        {
            throw new GrammarException("", "The grammar allows no text: each way through it contradicts itself or never ends.");
        }

        foreach (RuleState state in states)
        {
            for (int c = 0; c < state.Next.Length; c++)
            {
                if (state.Next[c] >= 0 && !live[state.Next[c]])
                {
                    state.Next[c] = -1;
                }
            }

            state.Calls.RemoveAll(call => !live[starts[call.Rule]] || !live[call.Return]);
        }
    }

    /// <summary>
    /// States from which their rule's end is reached. A state waits for what it leads to; a call waits for its return and for the rule
    /// itself.
    /// </summary>
    private static bool[] Live(List<RuleState> states, Dictionary<GrammarRule, int> starts)
    {
        var live = new bool[states.Count];
        var waiting = new List<int>[states.Count];
        for (int s = 0; s < states.Count; s++)
        {
            waiting[s] = [];
        }

        for (int s = 0; s < states.Count; s++)
        {
            foreach (int to in states[s].Next.Where(to => to >= 0).Distinct())
            {
                waiting[to].Add(s);
            }

            foreach ((GrammarRule rule, int back) in states[s].Calls)
            {
                waiting[back].Add(s);
                waiting[starts[rule]].Add(s);
            }
        }

        var open = new Stack<int>(Enumerable.Range(0, states.Count).Where(s => states[s].Accepts));
        while (open.TryPop(out int s))
        {
            if (!live[s])
            {
                live[s] = true;
                foreach (int before in waiting[s])
                {
                    if (!live[before]
                        && (states[before].Next.Contains(s)
                            || states[before].Calls.Exists(call => live[starts[call.Rule]] && live[call.Return])))
                    {
                        open.Push(before);
                    }
                }
            }
        }

        return live;
    }
}
