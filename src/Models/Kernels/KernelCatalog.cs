using Understory.Models.Kernels.Cpu;

namespace Understory.Models.Kernels;

/// <summary>A kernel set that this machine can run.</summary>
/// <param name="Reason">Why it stands where it does in the catalogue.</param>
public sealed record KernelSet(string Name, string Reason);

/// <summary>The kernel sets of this machine, best first.</summary>
public static class KernelCatalog
{
    /// <summary>Forces a set by name where <see cref="Create"/> is given none.</summary>
    public const string Variable = "UNDERSTORY_KERNELS";

    /// <summary>Best first; never empty.</summary>
    public static IReadOnlyList<KernelSet> Available { get; } =
    [
        new("reference", "plain loops in double precision, for tests"),
    ];

    /// <param name="name">Null: what <see cref="Variable"/> says, else the best one.</param>
    /// <param name="threads">0: one per core.</param>
    /// <exception cref="ArgumentException">This machine has no set of that name; the message lists those it has.</exception>
    public static IKernels Create(string? name = null, int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        string? forced = name ?? Environment.GetEnvironmentVariable(Variable);
        string chosen = string.IsNullOrEmpty(forced) ? Available[0].Name : forced;
        return chosen switch
        {
            _ when Available.All(set => set.Name != chosen) => throw new ArgumentException(
                $"No kernel set '{chosen}' on this machine; there are: {string.Join(", ", Available.Select(set => set.Name))}."),
            _ => new ReferenceKernels(),
        };
    }
}
