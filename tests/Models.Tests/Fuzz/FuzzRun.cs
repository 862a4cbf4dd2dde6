using System.Globalization;

namespace Understory.Models.Tests.Fuzz;

/// <summary>
/// Reads damaged files one by one. Each is read or refused with an exception that says so; anything else (another exception, no end,
/// memory beyond a multiple of the file's size) fails with the seed that brings it back. <c>UNDERSTORY_FUZZ=N</c> runs N times as many
/// with other seeds.
/// </summary>
internal static class FuzzRun
{
    /// <summary>Nobody waits that long for a file of some kilobytes.</summary>
    private static readonly TimeSpan Hanging = TimeSpan.FromMinutes(3);

    private static readonly int Times =
        int.TryParse(Environment.GetEnvironmentVariable("UNDERSTORY_FUZZ"), CultureInfo.InvariantCulture, out int times) ? times : 1;

    /// <param name="count">Files per run.</param>
    /// <param name="factor">Bytes of managed memory per byte of file that reading may take, garbage included.</param>
    /// <param name="constant">Bytes that reading takes whatever the file.</param>
    /// <param name="make">The damaged file of a seed.</param>
    /// <param name="read">Reads it; returns false where it is refused as it should.</param>
    /// <returns>How many were refused.</returns>
    public static int Check(int count, long factor, long constant, Func<Mutator, byte[]> make, Func<byte[], bool> read)
    {
        int refused = 0;
        for (int seed = 0; seed < count * Times; seed++)
        {
            byte[] file = make(new Mutator(seed));
            refused += ReadOne(seed, file, factor, constant, read) ? 0 : 1;
        }

        return refused;
    }

    public static bool ReadOne(int seed, byte[] file, long factor, long constant, Func<byte[], bool> read)
    {
        bool done = false;
        long taken = 0;
        Exception? failure = null;
        // A thread of its own, with the stack of a server's threads.
        var thread = new Thread(
            () =>
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    done = read(file);
                }
                catch (Exception e)
                {
                    failure = e;
                }

                taken = GC.GetAllocatedBytesForCurrentThread() - before;
            },
            maxStackSize: 1 << 20);
        thread.IsBackground = true;
        thread.Start();
        Assert.True(thread.Join(Hanging), $"seed {seed}: reading does not end");
        Assert.True(failure is null, $"seed {seed}: {failure}");
        Assert.True(taken <= (factor * file.Length) + constant, $"seed {seed}: {taken:N0} bytes allocated for a file of {file.Length:N0}");
        return done;
    }
}
