using System.Security.Cryptography;

namespace Understory.Models.Kernels.Cuda.Driver;

/// <summary>
/// Kernels that were assembled ahead of time, in a folder beside the program, so that the driver need not compile them. A file is named
/// after the PTX that it was made of and the device's architecture: one made of other PTX is never taken.
/// </summary>
internal static class Cubins
{
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "cubin");

    /// <summary>The first 32 digits of the PTX's SHA-256, and the architecture: "0123456789abcdef0123456789abcdef.sm_90.cubin".</summary>
    public static string FileName(ReadOnlySpan<byte> ptx, CudaDeviceInfo device) =>
        $"{Convert.ToHexStringLower(SHA256.HashData(ptx))[..32]}.sm_{device.Major}{device.Minor}.cubin";

    /// <summary>What was assembled of this PTX for this device; null where nothing was, or it cannot be read.</summary>
    public static byte[]? Find(string folder, ReadOnlySpan<byte> ptx, CudaDeviceInfo device)
    {
        string file = Path.Combine(folder, FileName(ptx, device));
        try
        {
            return File.Exists(file) ? File.ReadAllBytes(file) : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
