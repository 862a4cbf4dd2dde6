using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Models.Kernels.Cuda;

/// <summary>A bare copy within the device's memory: what a pass bound by its weights could attain at best.</summary>
internal static class CopyBandwidth
{
    private const int Rounds = 12;

    /// <summary>Less would stay in the second-level cache.</summary>
    private const long Least = 256L << 20;

    /// <summary>Bytes read plus bytes written a second, of the best of several copies of about so many bytes.</summary>
    /// <exception cref="InsufficientMemoryException">There is no room for a copy of so many bytes, or of a quarter of what is
    /// free.</exception>
    public static double BytesPerSecond(CudaDriver driver, long bytes)
    {
        bytes = Math.Min(Math.Max(bytes, Least), driver.FreeMemory / 4);
        using var source = new DeviceMemory(driver, bytes, zeroed: true);
        using var target = new DeviceMemory(driver, bytes, zeroed: true);
        nint first = driver.CreateEvent();
        nint second = driver.CreateEvent();
        try
        {
            double best = double.MaxValue;
            for (int round = 0; round < Rounds; round++)
            {
                driver.Record(first);
                driver.Copy(source.Address, target.Address, bytes);
                driver.Record(second);
                best = Math.Min(best, driver.Seconds(first, second));
            }

            return 2 * bytes / best;
        }
        finally
        {
            driver.DestroyEvent(first);
            driver.DestroyEvent(second);
        }
    }
}
