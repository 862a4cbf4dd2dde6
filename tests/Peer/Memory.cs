namespace Understory.Peer;

/// <summary>What the system says of this process's memory.</summary>
internal static class Memory
{
    /// <summary>Bytes in memory now, mapped pages of files among them; 0 where the system does not tell.</summary>
    public static long Resident()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        if (!OperatingSystem.IsLinux())
        {
            return 0;
        }

        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line.AsSpan(6).Trim().TrimEnd(" kB")) * 1024;
    }
}
