using System.Globalization;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Understory.Models.Kernels.Cpu;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cuda;

namespace Understory.Models.Kernels;

/// <summary>A kernel set that this machine can run.</summary>
/// <param name="Reason">Why it stands where it does in the catalogue.</param>
public sealed record KernelSet(string Name, string Reason)
{
    internal KernelSet(string name, string reason, Func<int, IKernels> create)
        : this(name, reason)
    {
        Create = create;
    }

    /// <summary>Makes the set's kernels for so many threads.</summary>
    internal Func<int, IKernels> Create { get; } = _ => new ReferenceKernels();
}

/// <summary>The kernel sets of this machine's processor, best first, and those of its CUDA devices.</summary>
public static class KernelCatalog
{
    /// <summary>Forces a set by name where <see cref="Create"/> is given none.</summary>
    public const string Variable = "UNDERSTORY_KERNELS";

    /// <summary>Of the processor, best first; never empty.</summary>
    public static IReadOnlyList<KernelSet> Available { get; } = [.. List()];

    /// <param name="name">One of <see cref="Available"/>, "cuda" or "cuda:N". Null: what <see cref="Variable"/> says, else the best of the
    /// processor.</param>
    /// <param name="threads">0: one per core.</param>
    /// <exception cref="ArgumentException">This machine has no set of that name; the message lists those it has.</exception>
    public static IKernels Create(string? name = null, int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        string? forced = name ?? Environment.GetEnvironmentVariable(Variable);
        string chosen = string.IsNullOrEmpty(forced) ? Available[0].Name : forced;
        if (CudaDevice(chosen) is { } device)
        {
            return TryCreateCuda(device, out string why) ?? throw new ArgumentException($"No CUDA kernels on this machine: {why}.");
        }

        KernelSet set = Available.FirstOrDefault(set => set.Name == chosen) ?? throw new ArgumentException(
            $"No kernel set '{chosen}' on this machine; there are: {string.Join(", ", Available.Select(set => set.Name))}.");
        return set.Create(threads == 0 ? Environment.ProcessorCount : threads);
    }

    /// <summary>The kernels of a CUDA device, once they have given the results of the processor's in a small check.</summary>
    /// <param name="device">From 0 on, in the driver's order.</param>
    /// <param name="description">The device; where it cannot be used, why.</param>
    /// <returns>Null where there is no such device that can be used.</returns>
    public static IKernels? TryCreateCuda(int device, out string description) => CudaDevices.TryCreate(device, out description);

    /// <summary>The device that "cuda" or "cuda:N" names; null for other names.</summary>
    public static int? CudaDevice(string name) => name switch
    {
        "cuda" => 0,
        _ when name.StartsWith("cuda:", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out int device) => device,
        _ => null,
    };

    private static IEnumerable<KernelSet> List()
    {
        if (Vector512.IsHardwareAccelerated && Avx512F.IsSupported && Fma.IsSupported)
        {
            yield return Vectors<Lanes16>("avx512", "512-bit vectors, 32 registers of them");
        }

        if (Avx2.IsSupported && Fma.IsSupported)
        {
            yield return Vectors<Twice<Lanes8>>("avx2", "256-bit vectors, fused multiply-add");
        }

        yield return Vectors<Twice<Twice<Lanes4>>>("portable", "128-bit vectors, on any machine");
        yield return new("reference", "plain loops in double precision, for tests", _ => new ReferenceKernels());
    }

    private static KernelSet Vectors<T>(string name, string reason)
        where T : unmanaged, ILanes<T> =>
        new(name, reason, threads => new VectorKernels<T>(name, threads));
}
