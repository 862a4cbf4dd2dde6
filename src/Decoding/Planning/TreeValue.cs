using Understory.Decoding.Tree;

namespace Understory.Decoding.Planning;

/// <summary>
/// What a tree is worth, <c>max over n of (sum of its n largest a) - Price * (C_target(1 + n) - C_target(1))</c> in tokens over plain
/// decoding, while nodes are added that it may come to have.
/// </summary>
/// <param name="maxNodes">Most nodes of a pass.</param>
public sealed class TreeValue(Ledger ledger, int maxNodes)
{
    private readonly float[] _largest = new float[maxNodes];
    private readonly double[] _prices = new double[maxNodes + 1];
    private int _count;
    private int _context;
    private double _price;
    private double _one;

    // Prices of fewer nodes than this are known: most trees stay small, and a price takes longer to find than a node.
    private int _priced;

    /// <summary>Begins with the nodes of a sorted tree.</summary>
    public void Begin(TokenTree tree, int context)
    {
        _context = context;
        _price = ledger.Price(context);
        _one = ledger.Target.Seconds(1, context);
        _priced = 1;
        _count = Math.Min(tree.OrderedCount, maxNodes);
        for (int place = 0; place < _count; place++)
        {
            _largest[place] = tree.A(tree.Ordered(place));
        }
    }

    /// <summary>One more node, which the target's path passes through with probability <paramref name="a"/>.</summary>
    public void Add(float a)
    {
        int place = Math.Min(_count, maxNodes - 1);
        if (_count == maxNodes && a <= _largest[place])
        {
            return;
        }

        for (; place > 0 && _largest[place - 1] < a; place--)
        {
            _largest[place] = _largest[place - 1];
        }

        _largest[place] = a;
        _count = Math.Min(_count + 1, maxNodes);
    }

    /// <summary>Tokens over plain decoding; 0 where that is best.</summary>
    public double Best()
    {
        double best = 0;
        double sum = 0;
        for (int n = 1; n <= _count; n++)
        {
            if (n == _priced)
            {
                _prices[_priced++] = _price * (ledger.Target.Hopeful(1 + n, _context) - _one);
            }

            sum += _largest[n - 1];
            best = Math.Max(best, sum - _prices[n]);
        }

        return best;
    }
}
