using System.Diagnostics;
using System.Globalization;
using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Models.Kernels.Cuda;

/// <summary>The machine's CUDA devices, as far as these kernels run on them.</summary>
internal static class CudaDevices
{
    /// <summary>For finding faults: words out of "no-graphs" and "no-overlap", with a comma between.</summary>
    public const string Variable = "UNDERSTORY_CUDA";

    /// <summary>The kernels on device <paramref name="ordinal"/>, compared with the CPU's reference.</summary>
    /// <param name="description">What was found; where there is nothing, why.</param>
    public static CudaKernels? TryCreate(int ordinal, out string description)
    {
        long start = Stopwatch.GetTimestamp();
        CudaKernels? kernels = null;
        try
        {
            string[] words = (Environment.GetEnvironmentVariable(Variable) ?? "").Split(',', StringSplitOptions.TrimEntries);
            kernels =
                new CudaKernels(new NativeDriver(ordinal), overlap: !words.Contains("no-overlap"), record: !words.Contains("no-graphs"));
            if (CudaSelfCheck.Run(kernels) is { } difference)
            {
                description = $"{kernels.Device.Name} computes wrongly: {difference}";
                Drop(kernels);
                return null;
            }

            CudaDeviceInfo device = kernels.Device;
            description = string.Create(CultureInfo.InvariantCulture,
                $"{device.Name}, compute capability {device.Major}.{device.Minor}, {device.MemoryBytes / (double)(1 << 30):F0} GiB, "
                    + $"driver {device.DriverVersion / 1000}.{device.DriverVersion % 1000 / 10}, checked against the CPU in "
                    + $"{Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s");
            return kernels;
        }
        catch (DllNotFoundException)
        {
            description = $"no NVIDIA driver: {(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1")} was not found";
        }
        catch (EntryPointNotFoundException e)
        {
            description = $"the NVIDIA driver is too old: {e.Message}";
        }
        catch (Exception e) when (e is CudaException or InsufficientMemoryException)
        {
            description = e.Message;
        }

        Drop(kernels);
        return null;
    }

    /// <summary>After a fault the driver may refuse even to free; the process goes on without the device.</summary>
    private static void Drop(CudaKernels? kernels)
    {
        try
        {
            kernels?.Dispose();
        }
        catch (CudaException)
        {
        }
    }
}
