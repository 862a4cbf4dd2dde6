using System.Runtime.InteropServices;

namespace Understory.Peer;

/// <summary>Whether other processes took a core from this one.</summary>
internal static unsafe partial class Disturbance
{
    /// <summary>
    /// Longs of <c>struct rusage</c>: two times of two, then fourteen counters, the last of them the involuntary switches (getrusage(2)).
    /// </summary>
    private const int Longs = 18;

    /// <summary>
    /// How often, so far, a thread of this process had to leave a core that it would have kept. 0 where the system does not tell.
    /// </summary>
    public static long Count()
    {
        if (!OperatingSystem.IsLinux())
        {
            return 0;
        }

        long* usage = stackalloc long[Longs];
        return ResourceUsage(0, usage) == 0 ? usage[Longs - 1] : 0;
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int ResourceUsage(int who, long* usage);
}
