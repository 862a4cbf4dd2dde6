using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Gpu;

/// <summary>Another driver, with the names of the kernels that ran on it: what was launched last when something went wrong.</summary>
/// <param name="synchronous">Waits behind every launch, so that a fault is reported by the launch that made it.</param>
internal sealed class WatchedDriver(CudaDriver driver, bool synchronous) : CudaDriver
{
    private const int Remembered = 8;

    private readonly Dictionary<nint, string> _names = [];
    private readonly (string Name, int GridX, int GridY, int Threads)[] _last = new (string, int, int, int)[Remembered];
    private int _launches;
    private bool _recording;

    /// <summary>Names of the kernels launched or recorded since <see cref="Clear"/>.</summary>
    public SortedSet<string> Kernels { get; } = new(StringComparer.Ordinal);

    /// <summary>Names of all that were launched or recorded.</summary>
    public SortedSet<string> AllKernels { get; } = new(StringComparer.Ordinal);

    /// <summary>The last launches, the last one last, with their grids.</summary>
    public IEnumerable<string> Last => Enumerable.Range(Math.Max(0, _launches - Remembered), Math.Min(_launches, Remembered))
        .Select(i => _last[i % Remembered])
        .Select(launch => $"{launch.Name} {launch.GridX} x {launch.GridY} blocks of {launch.Threads}");

    public int GraphLaunches { get; private set; }

    public int AssembledModules => (driver as NativeDriver)?.AssembledModules ?? 0;

    public override CudaDeviceInfo Device => driver.Device;

    public override long FreeMemory => driver.FreeMemory;

    public override long MapGranularity => driver.MapGranularity;

    public void Clear() => Kernels.Clear();

    public override nint Allocate(long bytes) => driver.Allocate(bytes);

    public override void Free(nint address) => driver.Free(address);

    public override nint Reserve(long bytes) => driver.Reserve(bytes);

    public override ulong Map(nint address, long bytes) => driver.Map(address, bytes);

    public override void Unmap(nint address, long bytes, ulong handle) => driver.Unmap(address, bytes, handle);

    public override void Release(nint address, long bytes) => driver.Release(address, bytes);

    public override nint AllocateHost(long bytes) => driver.AllocateHost(bytes);

    public override void FreeHost(nint address) => driver.FreeHost(address);

    public override void Zero(nint address, long bytes) => driver.Zero(address, bytes);

    public override void Upload(nint host, nint device, long bytes) => driver.Upload(host, device, bytes);

    public override void Download(nint device, nint host, long bytes) => driver.Download(device, host, bytes);

    public override void Copy(nint source, nint target, long bytes) => driver.Copy(source, target, bytes);

    public override nint LoadModule(string name, ReadOnlySpan<byte> ptx) => driver.LoadModule(name, ptx);

    public override void UnloadModule(nint module) => driver.UnloadModule(module);

    public override nint GetFunction(nint module, string name, int sharedBytes)
    {
        nint function = driver.GetFunction(module, name, sharedBytes);
        _names[function] = name;
        return function;
    }

    public override void Launch(nint function, int gridX, int gridY, int block, int sharedBytes, nint arguments, bool overlap)
    {
        string name = _names[function];
        if (Kernels.Add(name))
        {
            AllKernels.Add(name);
        }

        _last[_launches++ % Remembered] = (name, gridX, gridY, block);
        driver.Launch(function, gridX, gridY, block, sharedBytes, arguments, overlap);
        if (synchronous && !_recording)
        {
            driver.Synchronize();
        }
    }

    public override void BeginCapture()
    {
        driver.BeginCapture();
        _recording = true;
    }

    public override nint EndCapture(bool discard)
    {
        _recording = false;
        return driver.EndCapture(discard);
    }

    public override void LaunchGraph(nint graph)
    {
        GraphLaunches++;
        driver.LaunchGraph(graph);
    }

    public override void DestroyGraph(nint graph) => driver.DestroyGraph(graph);

    public override void Synchronize() => driver.Synchronize();

    public override nint CreateEvent() => driver.CreateEvent();

    public override void Record(nint happening) => driver.Record(happening);

    public override double Seconds(nint first, nint second) => driver.Seconds(first, second);

    public override void DestroyEvent(nint happening) => driver.DestroyEvent(happening);

    public override void Dispose() => driver.Dispose();
}
