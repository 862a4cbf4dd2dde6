namespace Understory.Decoding.Tests;

/// <summary>What work allocates on its thread.</summary>
internal static class Allocations
{
    /// <summary>
    /// The least bytes of a few rounds of it: a collection that another test begins counts what is left of the thread's buffer, 8 kB.
    /// </summary>
    public static long Least(Action work)
    {
        long least = long.MaxValue;
        for (int round = 0; round < 3 && least > 0; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            work();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }
}
