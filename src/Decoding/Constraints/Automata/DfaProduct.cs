namespace Understory.Decoding.Constraints.Automata;

/// <summary>Intersection and difference: both automata run side by side.</summary>
internal static class DfaProduct
{
    public static Dfa Combine(GrammarCombination combination, GrammarBudget budget) =>
        Combine(Dfa.Of(combination.A, budget), Dfa.Of(combination.B, budget), combination.IsDifference, budget);

    private static Dfa Combine(Dfa a, Dfa b, bool except, GrammarBudget budget)
    {
        (byte[] classOf, byte[] samples) = JointClasses(a, b);
        var next = new List<int>();
        var accepts = new List<bool>();
        var pairs = new List<(int A, int B)>();
        var known = new Dictionary<(int, int), int>();
        int StateOf(int inA, int inB)
        {
            // In a difference the second may have failed already; the first never.
            if (inA < 0 || (inB < 0 && !except))
            {
                return -1;
            }

            if (!known.TryGetValue((inA, inB), out int state))
            {
                budget.AddState();
                budget.Work(samples.Length);
                state = pairs.Count;
                known.Add((inA, inB), state);
                pairs.Add((inA, inB));
                accepts.Add(a.Accepts(inA) && (except ? inB < 0 || !b.Accepts(inB) : b.Accepts(inB)));
            }

            return state;
        }

        StateOf(0, 0);
        for (int state = 0; state < pairs.Count; state++)
        {
            (int inA, int inB) = pairs[state];
            foreach (byte value in samples)
            {
                next.Add(StateOf(a.Next(inA, value), inB < 0 ? -1 : b.Next(inB, value)));
            }
        }

        return Dfa.Trimmed(classOf, samples.Length, [.. next], [.. accepts]);
    }

    /// <summary>Bytes that neither of them tells apart have one class; a sample of each.</summary>
    private static (byte[] ClassOf, byte[] Samples) JointClasses(Dfa a, Dfa b)
    {
        byte[] classOf = new byte[256];
        var samples = new List<byte>();
        var known = new Dictionary<(byte, byte), byte>();
        for (int value = 0; value < 256; value++)
        {
            (byte, byte) key = (a.ClassOf[value], b.ClassOf[value]);
            if (!known.TryGetValue(key, out byte joint))
            {
                joint = (byte)samples.Count;
                known.Add(key, joint);
                samples.Add((byte)value);
            }

            classOf[value] = joint;
        }

        return (classOf, [.. samples]);
    }
}
