using Understory.Decoding.Tree;

namespace Understory.Decoding.Planning;

/// <summary>
/// Weighs tokens against seconds. A second is worth <see cref="Price"/> tokens: what decoding lately earned in one, never less than plain
/// decoding would. A tree is worth <c>max over n of (sum of its n largest a) - Price * C_target(1 + n)</c>; maximising that at the price that
/// is attained maximises tokens per second (Dinkelbach's argument).
/// </summary>
public sealed class TreePlanner(CostModel target, CostModel? draft, AcceptanceModel acceptance)
{
    private const double Memory = 0.97;

    private double _tokens;
    private double _seconds;

    public CostModel Target { get; } = target;

    public CostModel? Draft { get; } = draft;

    public AcceptanceModel Acceptance { get; } = acceptance;

    /// <summary>What the nodes of the last <see cref="Choose"/> are expected to gain over verifying none, in tokens, net of their rows.</summary>
    public double Gain { get; private set; }

    /// <summary>Tokens that a second of decoding is worth at <paramref name="context"/> positions.</summary>
    public double Price(int context)
    {
        double plain = 1 / Target.Seconds(1, context);
        return _seconds > 0 ? Math.Max(plain, _tokens / _seconds) : plain;
    }

    public void BeginSequence()
    {
        _tokens = _seconds = 0;
        Acceptance.BeginSequence();
    }

    /// <summary>A step committed so many tokens in so many seconds.</summary>
    public void Committed(int tokens, double seconds)
    {
        _tokens = (_tokens * Memory) + tokens;
        _seconds = (_seconds * Memory) + seconds;
    }

    /// <summary>
    /// How many nodes of the sorted tree to verify, from <paramref name="least"/> (0: plain decoding) to <paramref name="most"/>.
    /// Every n is looked at: the cost of a pass has steps where tiles fill up.
    /// </summary>
    public int Choose(TokenTree tree, int context, int least, int most)
    {
        double price = Price(context);
        most = Math.Min(most, tree.OrderedCount);
        double sum = 0;
        double best = double.NegativeInfinity;
        int chosen = 0;
        for (int n = 0; n <= most; n++)
        {
            if (n > 0)
            {
                sum += tree.A(tree.Ordered(n - 1));
            }

            double value = sum - (price * Target.Hopeful(1 + n, context));
            if (n >= Math.Min(least, most) && value > best)
            {
                best = value;
                chosen = n;
                Gain = sum - (price * (Target.Seconds(1 + n, context) - Target.Seconds(1, context)));
            }
        }

        return chosen;
    }

    /// <summary>Tokens that one more verified row costs near <paramref name="nodes"/> nodes.</summary>
    public double RowPrice(int nodes, int context) =>
        Math.Max(0, Price(context) * (Target.Hopeful(nodes + 3, context) - Target.Hopeful(nodes + 1, context)) / 2);

    /// <summary>
    /// Tokens gained, on average, by knowing the draft's children of a node that the target reaches with probability
    /// <paramref name="a"/>, when a verified row costs <paramref name="rowPrice"/> tokens.
    /// </summary>
    public double ExpansionGain(float a, bool greedy, double rowPrice)
    {
        double gain = 0;
        for (int rank = 0; rank < AcceptanceModel.Ranks; rank++)
        {
            gain += Math.Max(0, (a * Acceptance.Average(Stage.Draft, greedy, rank)) - rowPrice);
        }

        return gain;
    }
}
