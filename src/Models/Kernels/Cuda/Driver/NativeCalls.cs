using System.Reflection;
using System.Runtime.InteropServices;

namespace Understory.Models.Kernels.Cuda.Driver;

#pragma warning disable IDE1006 // The driver's own names.

/// <summary>
/// The driver's functions, by the names that its library exports; each returns a CUresult. See the CUDA driver API reference.
/// </summary>
internal static unsafe partial class NativeCalls
{
    private const string Library = "cuda";

    static NativeCalls() => NativeLibrary.SetDllImportResolver(typeof(NativeCalls).Assembly, Resolve);

    [LibraryImport(Library)]
    public static partial int cuInit(uint flags);

    [LibraryImport(Library)]
    public static partial int cuDriverGetVersion(int* version);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetCount(int* count);

    [LibraryImport(Library)]
    public static partial int cuDeviceGet(int* device, int ordinal);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library, EntryPoint = "cuDeviceTotalMem_v2")]
    public static partial int cuDeviceTotalMem(nuint* bytes, int device);

    [LibraryImport(Library)]
    public static partial int cuDeviceGetAttribute(int* value, int attribute, int device);

    [LibraryImport(Library)]
    public static partial int cuDevicePrimaryCtxRetain(nint* context, int device);

    [LibraryImport(Library, EntryPoint = "cuDevicePrimaryCtxRelease_v2")]
    public static partial int cuDevicePrimaryCtxRelease(int device);

    [LibraryImport(Library)]
    public static partial int cuCtxSetCurrent(nint context);

    [LibraryImport(Library)]
    public static partial int cuGetErrorName(int error, nint* name);

    [LibraryImport(Library)]
    public static partial int cuGetErrorString(int error, nint* text);

    [LibraryImport(Library, EntryPoint = "cuMemGetInfo_v2")]
    public static partial int cuMemGetInfo(nuint* free, nuint* total);

    [LibraryImport(Library, EntryPoint = "cuMemAlloc_v2")]
    public static partial int cuMemAlloc(nint* address, nuint bytes);

    [LibraryImport(Library, EntryPoint = "cuMemFree_v2")]
    public static partial int cuMemFree(nint address);

    [LibraryImport(Library)]
    public static partial int cuMemHostAlloc(nint* address, nuint bytes, uint flags);

    [LibraryImport(Library)]
    public static partial int cuMemFreeHost(nint address);

    [LibraryImport(Library)]
    public static partial int cuMemGetAllocationGranularity(nuint* bytes, AllocationProperties* properties, int option);

    [LibraryImport(Library)]
    public static partial int cuMemAddressReserve(nint* address, nuint bytes, nuint alignment, nint wanted, ulong flags);

    [LibraryImport(Library)]
    public static partial int cuMemAddressFree(nint address, nuint bytes);

    [LibraryImport(Library)]
    public static partial int cuMemCreate(ulong* handle, nuint bytes, AllocationProperties* properties, ulong flags);

    [LibraryImport(Library)]
    public static partial int cuMemRelease(ulong handle);

    [LibraryImport(Library)]
    public static partial int cuMemMap(nint address, nuint bytes, nuint offset, ulong handle, ulong flags);

    [LibraryImport(Library)]
    public static partial int cuMemUnmap(nint address, nuint bytes);

    [LibraryImport(Library)]
    public static partial int cuMemSetAccess(nint address, nuint bytes, AccessDescription* access, nuint count);

    [LibraryImport(Library)]
    public static partial int cuMemsetD8Async(nint address, byte value, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyHtoDAsync_v2")]
    public static partial int cuMemcpyHtoDAsync(nint device, nint host, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoHAsync_v2")]
    public static partial int cuMemcpyDtoHAsync(nint host, nint device, nuint bytes, nint stream);

    [LibraryImport(Library, EntryPoint = "cuMemcpyDtoDAsync_v2")]
    public static partial int cuMemcpyDtoDAsync(nint target, nint source, nuint bytes, nint stream);

    [LibraryImport(Library)]
    public static partial int cuModuleLoadDataEx(nint* module, byte* image, uint options, int* names, nint* values);

    [LibraryImport(Library)]
    public static partial int cuModuleUnload(nint module);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int cuModuleGetFunction(nint* function, nint module, string name);

    [LibraryImport(Library)]
    public static partial int cuFuncSetAttribute(nint function, int attribute, int value);

    [LibraryImport(Library)]
    public static partial int cuLaunchKernel(
        nint function, uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ, uint sharedBytes, nint stream,
        nint* parameters, nint extra);

    [LibraryImport(Library)]
    public static partial int cuLaunchKernelEx(LaunchConfig* config, nint function, nint* parameters, nint extra);

    [LibraryImport(Library)]
    public static partial int cuStreamCreate(nint* stream, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamDestroy_v2")]
    public static partial int cuStreamDestroy(nint stream);

    [LibraryImport(Library)]
    public static partial int cuStreamSynchronize(nint stream);

    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    public static partial int cuStreamBeginCapture(nint stream, int mode);

    [LibraryImport(Library)]
    public static partial int cuStreamEndCapture(nint stream, nint* graph);

    [LibraryImport(Library)]
    public static partial int cuGraphInstantiateWithFlags(nint* executable, nint graph, ulong flags);

    [LibraryImport(Library)]
    public static partial int cuGraphLaunch(nint executable, nint stream);

    [LibraryImport(Library)]
    public static partial int cuGraphDestroy(nint graph);

    [LibraryImport(Library)]
    public static partial int cuGraphExecDestroy(nint executable);

    [LibraryImport(Library)]
    public static partial int cuEventCreate(nint* happening, uint flags);

    [LibraryImport(Library)]
    public static partial int cuEventRecord(nint happening, nint stream);

    [LibraryImport(Library)]
    public static partial int cuEventSynchronize(nint happening);

    [LibraryImport(Library)]
    public static partial int cuEventElapsedTime(float* milliseconds, nint first, nint second);

    [LibraryImport(Library, EntryPoint = "cuEventDestroy_v2")]
    public static partial int cuEventDestroy(nint happening);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name != Library
        ? 0
        : NativeLibrary.Load(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1");

    /// <summary>CUmemAllocationProp.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct AllocationProperties
    {
        public int Type;
        public int HandleTypes;
        public int LocationType;
        public int Location;
        public nint Win32Metadata;
        public byte CompressionType;
        public byte GpuDirect;
        public ushort Usage;
        public uint Reserved;

        /// <summary>Pinned on the device.</summary>
        public static AllocationProperties OnDevice(int device) => new() { Type = 1, LocationType = 1, Location = device };
    }

    /// <summary>CUmemAccessDesc.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct AccessDescription
    {
        public int LocationType;
        public int Location;
        public int Flags;
    }

    /// <summary>CUlaunchConfig.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct LaunchConfig
    {
        public uint GridX;
        public uint GridY;
        public uint GridZ;
        public uint BlockX;
        public uint BlockY;
        public uint BlockZ;
        public uint SharedBytes;
        public nint Stream;
        public LaunchAttribute* Attributes;
        public uint AttributeCount;
    }

    /// <summary>CUlaunchAttribute: an id, padding to 8 bytes, and a union of 64 bytes.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 72)]
    public struct LaunchAttribute
    {
        /// <summary>6: programmatic stream serialization.</summary>
        [FieldOffset(0)]
        public int Id;

        [FieldOffset(8)]
        public int Value;
    }
}
