using System.Runtime.InteropServices;
using System.Text;
using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.PtxEmulator;

/// <summary>
/// A CUDA device that is a program: it runs the kernels' PTX, and refuses what a device would refuse, and much that one would let pass.
/// </summary>
internal sealed unsafe class EmulatedDriver : CudaDriver
{
    private readonly DeviceSpace _memory = new();
    private readonly List<PtxModule> _modules = [];
    private readonly List<(Kernel Kernel, int SharedBytes)> _functions = [];
    private readonly Dictionary<nint, long> _host = [];
    private readonly Dictionary<nint, List<Recorded>> _graphs = [];
    private readonly Dictionary<ulong, (nint Address, long Bytes)> _maps = [];
    private static readonly Dictionary<string, PtxModule> _parsed = [];
    private List<Recorded>? _capture;
    private int _launches;
    private nint _nextGraph;
    private ulong _nextHandle;

    /// <param name="major">Compute capability: 8 runs the PTX for compute_80, 9 that for sm_90.</param>
    /// <param name="memoryBytes">Of the device.</param>
    public EmulatedDriver(int major = 8, long memoryBytes = 1L << 30)
    {
        Device = new CudaDeviceInfo("Emulated GPU", major, 0, 4, memoryBytes, 160 << 10, 1 << 20, 13000);
    }

    private sealed record Recorded(Kernel Kernel, int GridX, int GridY, int Threads, int SharedBytes, byte[] Parameters);

    public override CudaDeviceInfo Device { get; }

    public override long FreeMemory => Device.MemoryBytes - _memory.Used;

    /// <summary>What this device's compiler gets wrong.</summary>
    public Func<string, string> Mistake { get; init; } = text => text;

    /// <summary>Kernels run so far, replayed ones included.</summary>
    public int Launches => _launches;

    /// <summary>Names of the kernels run so far.</summary>
    public HashSet<string> Ran { get; } = [];

    /// <summary>Graphs launched so far.</summary>
    public int GraphLaunches { get; private set; }

    /// <summary>Instructions of warps run so far.</summary>
    public long Steps { get; private set; }

    /// <summary>Allocations that are not freed.</summary>
    public int Allocations => _memory.Allocations + _host.Count;

    public override long MapGranularity => 1 << DeviceSpace.MapShift;

    public override nint Allocate(long bytes)
    {
        NotRecording();
        Room("cuMemAlloc", bytes);
        return (nint)_memory.Allocate(bytes, mapped: true);
    }

    public override void Free(nint address) => _memory.Free((ulong)address);

    public override nint Reserve(long bytes) => (nint)_memory.Allocate(bytes, mapped: false);

    public override ulong Map(nint address, long bytes)
    {
        NotRecording();
        Room("cuMemCreate", bytes);
        _memory.Map((ulong)address, bytes, on: true);
        _maps[++_nextHandle] = (address, bytes);
        return _nextHandle;
    }

    public override void Unmap(nint address, long bytes, ulong handle)
    {
        if (!_maps.Remove(handle, out (nint Address, long Bytes) map) || map != (address, bytes))
        {
            throw new EmulationException("Unmapped what is not mapped.");
        }

        _memory.Map((ulong)address, bytes, on: false);
    }

    public override void Release(nint address, long bytes) => _memory.Free((ulong)address);

    public override nint AllocateHost(long bytes)
    {
        nint address = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _host[address] = bytes;
        return address;
    }

    public override void FreeHost(nint address)
    {
        if (!_host.Remove(address))
        {
            throw new EmulationException("Freed host memory that is not allocated.");
        }

        NativeMemory.AlignedFree((void*)address);
    }

    public override void Zero(nint address, long bytes) => _memory.Fill((ulong)address, 0, bytes);

    /// <summary>Overwrites memory, for tests.</summary>
    public void Fill(nint address, byte value, long bytes) => _memory.Fill((ulong)address, value, bytes);

    public override void Upload(nint host, nint device, long bytes)
    {
        NotRecording();
        if (bytes > 0)
        {
            _memory.CopyIn((byte*)host, (ulong)device, bytes, "cuMemcpyHtoDAsync");
        }
    }

    public override void Download(nint device, nint host, long bytes)
    {
        NotRecording();
        _memory.CopyOut((ulong)device, (byte*)host, bytes, "cuMemcpyDtoHAsync");
    }

    public override void Copy(nint source, nint target, long bytes)
    {
        NotRecording();
        _memory.Copy((ulong)source, (ulong)target, bytes);
    }

    public override nint LoadModule(string name, ReadOnlySpan<byte> ptx)
    {
        string text = Mistake(Encoding.UTF8.GetString(ptx));
        lock (_parsed)
        {
            if (!_parsed.TryGetValue(text, out PtxModule? module))
            {
                module = PtxModule.Parse(text);
                _parsed.Add(text, module);
            }

            _modules.Add(module);
        }

        return _modules.Count;
    }

    public override void UnloadModule(nint module)
    {
    }

    public override nint GetFunction(nint module, string name, int sharedBytes)
    {
        if (!_modules[(int)module - 1].Kernels.TryGetValue(name, out Kernel? kernel))
        {
            throw new CudaException("cuModuleGetFunction", 500, $"cuModuleGetFunction of {name}: not found");
        }

        _functions.Add((kernel, sharedBytes));
        return _functions.Count;
    }

    public override void Launch(nint function, int gridX, int gridY, int block, int sharedBytes, nint arguments, bool overlap)
    {
        (Kernel kernel, int allowed) = _functions[(int)function - 1];
        if (sharedBytes > allowed || kernel.StaticShared + sharedBytes > Device.SharedBytes || kernel.StaticShared > 48 << 10)
        {
            throw new EmulationException($"{kernel.Name}: {kernel.StaticShared} + {sharedBytes} bytes of shared memory are more than the "
                + $"{allowed} it was allowed");
        }

        if (overlap && !kernel.Waits)
        {
            throw new EmulationException($"{kernel.Name} is launched before its predecessor has ended, but does not wait for it");
        }

        byte[] parameters = new ReadOnlySpan<byte>((void*)arguments, kernel.ParameterBytes).ToArray();
        var recorded = new Recorded(kernel, gridX, gridY, block, sharedBytes, parameters);
        if (_capture is not null)
        {
            _capture.Add(recorded);
        }
        else
        {
            Run(recorded);
        }
    }

    public override void BeginCapture()
    {
        NotRecording();
        _capture = [];
    }

    public override nint EndCapture(bool discard)
    {
        List<Recorded> capture = _capture ?? throw new EmulationException("Nothing is being recorded.");
        _capture = null;
        if (discard)
        {
            return 0;
        }

        _graphs[++_nextGraph] = capture;
        return _nextGraph;
    }

    public override void LaunchGraph(nint graph)
    {
        GraphLaunches++;
        foreach (Recorded recorded in _graphs[graph])
        {
            Run(recorded);
        }
    }

    public override void DestroyGraph(nint graph)
    {
        if (!_graphs.Remove(graph))
        {
            throw new EmulationException("Destroyed a graph that is not there.");
        }
    }

    public override void Synchronize() => NotRecording();

    public override nint CreateEvent() => 1;

    public override void Record(nint happening)
    {
    }

    public override double Seconds(nint first, nint second) => 0;

    public override void DestroyEvent(nint happening)
    {
    }

    public override void Dispose()
    {
        foreach (nint address in _host.Keys)
        {
            NativeMemory.AlignedFree((void*)address);
        }

        _host.Clear();
    }

    private void Run(Recorded recorded)
    {
        _launches++;
        Ran.Add(recorded.Kernel.Name);
        Steps += new Launch(recorded.Kernel, _memory, _launches, recorded.GridX, recorded.GridY, recorded.Threads, recorded.SharedBytes,
            recorded.Parameters).Run();
    }

    private void NotRecording()
    {
        if (_capture is not null)
        {
            throw new CudaException("cuStreamBeginCapture", 900, "this call is not permitted while the stream is being captured");
        }
    }

    private void Room(string call, long bytes)
    {
        if (bytes > FreeMemory)
        {
            throw new CudaException(call, 2, $"{call}: CUDA_ERROR_OUT_OF_MEMORY (2), out of memory");
        }
    }
}
