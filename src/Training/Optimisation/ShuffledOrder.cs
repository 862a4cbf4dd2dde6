namespace Understory.Training.Optimisation;

/// <summary>Numbers 0 to <c>count - 1</c> over and over, each time in another order: a function of seed and place.</summary>
internal sealed class ShuffledOrder(int count, int seed)
{
    private readonly int[] _order = new int[count];
    private long _epoch = -1;

    public int this[long place]
    {
        get
        {
            (long epoch, long within) = Math.DivRem(place, count);
            if (epoch != _epoch)
            {
                for (int i = 0; i < count; i++)
                {
                    _order[i] = i;
                }

                new Random(unchecked((seed * 7919) + (int)epoch)).Shuffle(_order);
                _epoch = epoch;
            }

            return _order[within];
        }
    }
}
