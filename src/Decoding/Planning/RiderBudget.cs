namespace Understory.Decoding.Planning;

/// <summary>
/// Rows of a target pass that look ahead instead of being verified. What they find is worth something only later, so it is counted over
/// many steps: <c>v = tokens accepted of what was found / rows that looked ahead</c>. A pass takes the r rows for which
/// <c>v r - Margin Price (C(1 + n + r) - C(1 + n))</c> is highest: none where rows cost.
/// </summary>
public sealed class RiderBudget
{
    /// <summary>
    /// What a row is taken to bring before any was seen, and how many rows that is worth. Below what three rows brought a small model at
    /// T = 0 and T = 1 (0.022 and 0.062; noise that belongs to a position makes guesses of it come true), so that a trial costs about one
    /// token at most.
    /// </summary>
    private const double PriorGreedy = 0.015;
    private const double PriorSampled = 0.04;
    private const double PriorRows = 60;

    /// <summary>Rows must bring so many times their price: the curve is not known to the percent. Chosen.</summary>
    private const double Margin = 2;

    /// <summary>Rows after which what was counted counts half, as it does at the beginning of a sequence. Chosen: some answers.</summary>
    private const double Window = 8000;

    // Sampled, greedy.
    private readonly (double Rows, double Tokens)[] _seen = new (double, double)[2];

    /// <summary>Tokens that a row brings.</summary>
    public double PerRow(bool greedy)
    {
        var (rows, tokens) = _seen[greedy ? 1 : 0];
        return (tokens + ((greedy ? PriorGreedy : PriorSampled) * PriorRows)) / (rows + PriorRows);
    }

    /// <summary>Rows that a pass may take on; changes nothing.</summary>
    /// <param name="nodes">Those that it verifies.</param>
    /// <param name="most">Rows that there is room for.</param>
    public int Rows(CostModel target, double price, bool greedy, int nodes, int context, int most)
    {
        double without = target.Seconds(1 + nodes, context);
        double perRow = PerRow(greedy);
        double best = 0;
        int chosen = 0;
        double dearest = 0;
        // What costs more than all of them could bring ends the search: dearer they only get.
        for (int rows = 1; rows <= most && dearest < perRow * most; rows++)
        {
            dearest = Margin * price * Math.Max(0, target.Seconds(1 + nodes + rows, context) - without);
            double value = (perRow * rows) - dearest;
            if (value > best)
            {
                (best, chosen) = (value, rows);
            }
        }

        return chosen;
    }

    public void BeginSequence()
    {
        Halve(greedy: false);
        Halve(greedy: true);
    }

    /// <summary>Forgets all that was counted.</summary>
    public void Clear() => Array.Clear(_seen);

    /// <summary>A step had so many such rows, and committed so many tokens that earlier ones had found.</summary>
    public void Book(bool greedy, int rows, int found)
    {
        ref (double Rows, double Tokens) seen = ref _seen[greedy ? 1 : 0];
        seen = (seen.Rows + rows, seen.Tokens + found);
        if (seen.Rows > Window)
        {
            Halve(greedy);
        }
    }

    private void Halve(bool greedy)
    {
        ref (double Rows, double Tokens) seen = ref _seen[greedy ? 1 : 0];
        seen = (seen.Rows / 2, seen.Tokens / 2);
    }
}
