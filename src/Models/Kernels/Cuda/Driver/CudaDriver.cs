namespace Understory.Models.Kernels.Cuda.Driver;

/// <summary>What a device is and has.</summary>
/// <param name="Major">Compute capability; with <paramref name="Minor"/>.</param>
/// <param name="SharedBytes">Most shared memory of a block, opted in to.</param>
internal sealed record CudaDeviceInfo(string Name, int Major, int Minor, int Multiprocessors, long MemoryBytes, int SharedBytes,
    int L2Bytes, int DriverVersion);

/// <summary>
/// The calls of the CUDA driver that the kernels need, on one device, one stream, one thread at a time. The real one talks to
/// <c>libcuda.so.1</c>; tests put an emulated device in its place. Addresses are the device's. Every failure is a
/// <see cref="CudaException"/> with the call and the driver's words.
/// </summary>
internal abstract class CudaDriver : IDisposable
{
    public abstract CudaDeviceInfo Device { get; }

    /// <summary>Bytes that can be allocated now.</summary>
    public abstract long FreeMemory { get; }

    /// <summary>Device memory with undefined content, aligned to 256 bytes.</summary>
    /// <exception cref="CudaException">With <see cref="CudaException.OutOfMemory"/> where it does not fit.</exception>
    public abstract nint Allocate(long bytes);

    public abstract void Free(nint address);

    /// <summary>Bytes in whose multiples <see cref="Map"/> works.</summary>
    public abstract long MapGranularity { get; }

    /// <summary>A range of addresses without memory.</summary>
    public abstract nint Reserve(long bytes);

    /// <summary>Puts memory behind a part of such a range. Returns its handle.</summary>
    public abstract ulong Map(nint address, long bytes);

    public abstract void Unmap(nint address, long bytes, ulong handle);

    public abstract void Release(nint address, long bytes);

    /// <summary>Host memory that copies can take from and to directly.</summary>
    public abstract nint AllocateHost(long bytes);

    public abstract void FreeHost(nint address);

    public abstract void Zero(nint address, long bytes);

    /// <summary>From the host, on the stream; the host's memory must stay as it is until that is done.</summary>
    public abstract void Upload(nint host, nint device, long bytes);

    /// <summary>To the host, on the stream; there once <see cref="Synchronize"/> returns.</summary>
    public abstract void Download(nint device, nint host, long bytes);

    /// <summary>Between two places on the device, on the stream.</summary>
    public abstract void Copy(nint source, nint target, long bytes);

    /// <summary>Compiles PTX for the device, or takes what was assembled of it before.</summary>
    public abstract nint LoadModule(string name, ReadOnlySpan<byte> ptx);

    public abstract void UnloadModule(nint module);

    /// <summary>A kernel of a module, allowed <paramref name="sharedBytes"/> of dynamic shared memory.</summary>
    public abstract nint GetFunction(nint module, string name, int sharedBytes);

    /// <summary>Launches a kernel that takes one struct.</summary>
    /// <param name="arguments">Address of the struct; it is read before the call returns.</param>
    /// <param name="overlap">May start before the kernel in front of it has ended (programmatic dependent launch): it waits by
    /// itself.</param>
    public abstract void Launch(nint function, int gridX, int gridY, int block, int sharedBytes, nint arguments, bool overlap);

    /// <summary>What follows on the stream is recorded, not run.</summary>
    public abstract void BeginCapture();

    /// <summary>Ends recording. Returns a graph to launch; 0 where <paramref name="discard"/>.</summary>
    public abstract nint EndCapture(bool discard);

    public abstract void LaunchGraph(nint graph);

    public abstract void DestroyGraph(nint graph);

    /// <summary>Waits until everything on the stream is done.</summary>
    public abstract void Synchronize();

    public abstract nint CreateEvent();

    public abstract void Record(nint happening);

    /// <summary>Seconds between two recorded events.</summary>
    public abstract double Seconds(nint first, nint second);

    public abstract void DestroyEvent(nint happening);

    public abstract void Dispose();
}
