using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>A bare read of memory by all cores: what a pass bound by its weights could attain at best.</summary>
public static class ReadLoop
{
    private const int Rounds = 15;

    /// <summary>Bytes per second of the median of several rounds over a block of so many bytes.</summary>
    public static unsafe double BytesPerSecond(long bytes)
    {
        using var block = new NativeMemoryBlock(Math.Max(bytes, 1 << 20));
        int threads = Environment.ProcessorCount;
        long part = block.Bytes / threads / 512 * 512;
        nint address = block.Address;
        // Touch every page first: untouched ones are all the same zero page.
        new Span<byte>((void*)address, (int)Math.Min(block.Bytes, int.MaxValue)).Fill(1);
        var seconds = new double[Rounds];
        var sums = new ulong[threads * 16];
        using var barrier = new Barrier(threads);
        long start = 0;
        var workers = Enumerable.Range(0, threads).Select(worker => new Thread(() =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                barrier.SignalAndWait();
                if (worker == 0)
                {
                    start = Stopwatch.GetTimestamp();
                }

                sums[worker * 16] += Sum((byte*)address + (worker * part), part);
                barrier.SignalAndWait();
                if (worker == 0)
                {
                    seconds[round] = Stopwatch.GetElapsedTime(start).TotalSeconds;
                }
            }
        })).ToArray();
        Array.ForEach(workers, thread => thread.Start());
        Array.ForEach(workers, thread => thread.Join());
        Array.Sort(seconds);
        return part * threads / seconds[Rounds / 2];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static unsafe ulong Sum(byte* data, long bytes)
    {
        Vector512<ulong> a = default, b = default, c = default, d = default;
        for (byte* end = data + bytes; data < end; data += 256)
        {
            a += Vector512.Load((ulong*)data);
            b += Vector512.Load((ulong*)(data + 64));
            c += Vector512.Load((ulong*)(data + 128));
            d += Vector512.Load((ulong*)(data + 192));
        }

        return Vector512.Sum(a + b + c + d);
    }
}
