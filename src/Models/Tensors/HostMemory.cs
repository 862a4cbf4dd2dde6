using System.Globalization;

namespace Understory.Models.Tensors;

/// <summary>The memory of this machine, or of the container that the process runs in.</summary>
public static class HostMemory
{
    /// <summary>Bytes that can be taken without anything being pushed out; what mapped files merely occupy is free.</summary>
    public static long FreeBytes
    {
        get
        {
            // The limit of a container, or all that the machine has.
            long limit = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
            return OperatingSystem.IsLinux() && Available() is { } available ? Math.Min(limit, available) : limit;
        }
    }

    /// <summary>What the kernel of Linux holds to be available.</summary>
    private static long? Available()
    {
        const string key = "MemAvailable:";
        try
        {
            string? line = File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith(key, StringComparison.Ordinal));
            string[] words = line?[key.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
            return words is [string kilobytes, "kB"]
                && long.TryParse(kilobytes, NumberStyles.None, CultureInfo.InvariantCulture, out long count) ? count * 1024 : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
