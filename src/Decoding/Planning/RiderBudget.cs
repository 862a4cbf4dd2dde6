namespace Understory.Decoding.Planning;

/// <summary>
/// Rows of a target pass that look ahead instead of being verified. What they find is worth something only later, so it is counted over
/// many steps: <c>v = tokens accepted of what was found / rows that looked ahead</c>. A pass takes the r rows for which
/// <c>v r - Margin Price (C(1 + n + r) - C(1 + n))</c> is highest: none where rows cost.
/// </summary>
public sealed class RiderBudget
{
    /// <summary>
    /// What a row is taken to bring before any was seen, and how many rows that is worth. Chosen: below the 0.8 tokens of 59 rows that
    /// arXiv 2402.02057 reports, so that only rows that are all but free are tried.
    /// </summary>
    private const double Prior = 0.01;
    private const double PriorRows = 200;

    /// <summary>Rows must bring so many times their price: the curve is not known to the percent. Chosen.</summary>
    private const double Margin = 2;

    /// <summary>Rows after which what was counted counts half, as it does at the beginning of a sequence. Chosen: some answers.</summary>
    private const double Window = 8000;

    private double _rows;
    private double _tokens;

    /// <summary>Tokens that a row brings.</summary>
    public double PerRow => (_tokens + (Prior * PriorRows)) / (_rows + PriorRows);

    /// <summary>Rows that a pass may take on; changes nothing.</summary>
    /// <param name="nodes">Those that it verifies.</param>
    /// <param name="most">Rows that there is room for.</param>
    public int Rows(CostModel target, double price, int nodes, int context, int most)
    {
        double without = target.Seconds(1 + nodes, context);
        double perRow = PerRow;
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

    public void BeginSequence() => Halve();

    /// <summary>Forgets all that was counted.</summary>
    public void Clear() => _rows = _tokens = 0;

    /// <summary>A step had so many such rows, and committed so many tokens that earlier ones had found.</summary>
    public void Book(int rows, int found)
    {
        _rows += rows;
        _tokens += found;
        if (_rows > Window)
        {
            Halve();
        }
    }

    private void Halve() => (_rows, _tokens) = (_rows / 2, _tokens / 2);
}
