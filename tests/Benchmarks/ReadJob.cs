using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Understory.Models.Kernels.Cpu;

namespace Understory.Benchmarks;

/// <summary>Reads memory front to back, each thread its part, and does nothing with it.</summary>
internal sealed unsafe class ReadJob(nint address, long bytes) : Job
{
    public const int Pieces = 64;

    private readonly ulong[] _sums = new ulong[64 * 8];

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        Vector512<ulong> sum = default;
        long begin = bytes / 256 * first / Pieces * 256;
        long stop = bytes / 256 * end / Pieces * 256;
        for (byte* p = (byte*)address + begin; p < (byte*)address + stop; p += 256)
        {
            sum ^= Vector512.Load((ulong*)p) ^ Vector512.Load((ulong*)(p + 64)) ^ Vector512.Load((ulong*)(p + 128))
                ^ Vector512.Load((ulong*)(p + 192));
        }

        _sums[worker * 8] ^= sum[0] ^ sum[5];
    }
}
