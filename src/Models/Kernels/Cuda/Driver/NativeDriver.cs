using System.Runtime.InteropServices;
using System.Text;
using static Understory.Models.Kernels.Cuda.Driver.NativeCalls;

namespace Understory.Models.Kernels.Cuda.Driver;

/// <summary>The machine's own CUDA driver.</summary>
internal sealed unsafe class NativeDriver : CudaDriver
{
    private const int LogBytes = 1 << 14;

    private readonly int _device;
    private nint _context;
    private readonly nint _stream;
    private readonly bool _overlaps;
    private readonly bool _cubins;
    private long _granularity;

    /// <param name="cubins">Takes what was assembled ahead of time (<see cref="Cubins"/>), where it is there.</param>
    /// <exception cref="CudaException">There is no such device, or it cannot be used.</exception>
    /// <exception cref="DllNotFoundException">There is no NVIDIA driver.</exception>
    public NativeDriver(int ordinal, bool cubins = true)
    {
        _cubins = cubins;
        Check(cuInit(0), nameof(cuInit));
        int count;
        Check(cuDeviceGetCount(&count), nameof(cuDeviceGetCount));
        if (ordinal >= count)
        {
            throw new CudaException(nameof(cuDeviceGetCount), 101, $"there is no CUDA device {ordinal}; this machine has {count}");
        }

        int device;
        Check(cuDeviceGet(&device, ordinal), nameof(cuDeviceGet));
        _device = device;
        Device = Describe();
        _overlaps = Device.Major >= 9;
        nint context;
        Check(cuDevicePrimaryCtxRetain(&context, device), nameof(cuDevicePrimaryCtxRetain));
        _context = context;
        try
        {
            Use();
            nint stream;
            const uint NonBlocking = 1;
            Check(cuStreamCreate(&stream, NonBlocking), nameof(cuStreamCreate));
            _stream = stream;
        }
        catch
        {
            _ = cuDevicePrimaryCtxRelease(device);
            throw;
        }
    }

    public override CudaDeviceInfo Device { get; }

    /// <summary>Modules that came assembled.</summary>
    public int AssembledModules { get; private set; }

    public override long FreeMemory
    {
        get
        {
            Use();
            nuint free;
            nuint total;
            Check(cuMemGetInfo(&free, &total), nameof(cuMemGetInfo));
            return (long)free;
        }
    }

    public override long MapGranularity
    {
        get
        {
            if (_granularity == 0)
            {
                AllocationProperties properties = AllocationProperties.OnDevice(_device);
                nuint bytes;
                const int Recommended = 1;
                Check(cuMemGetAllocationGranularity(&bytes, &properties, Recommended), nameof(cuMemGetAllocationGranularity));
                _granularity = (long)bytes;
            }

            return _granularity;
        }
    }

    public override nint Allocate(long bytes)
    {
        Use();
        nint address;
        Check(cuMemAlloc(&address, (nuint)bytes), nameof(cuMemAlloc));
        return address;
    }

    public override void Free(nint address)
    {
        Use();
        Check(cuMemFree(address), nameof(cuMemFree));
    }

    public override nint Reserve(long bytes)
    {
        Use();
        nint address;
        Check(cuMemAddressReserve(&address, (nuint)bytes, 0, 0, 0), nameof(cuMemAddressReserve));
        return address;
    }

    public override ulong Map(nint address, long bytes)
    {
        Use();
        AllocationProperties properties = AllocationProperties.OnDevice(_device);
        ulong handle;
        Check(cuMemCreate(&handle, (nuint)bytes, &properties, 0), nameof(cuMemCreate));
        int result = cuMemMap(address, (nuint)bytes, 0, handle, 0);
        if (result == 0)
        {
            AccessDescription access = new() { LocationType = 1, Location = _device, Flags = 3 };
            result = cuMemSetAccess(address, (nuint)bytes, &access, 1);
            if (result != 0)
            {
                _ = cuMemUnmap(address, (nuint)bytes);
            }
        }

        if (result != 0)
        {
            _ = cuMemRelease(handle);
            Check(result, nameof(cuMemMap));
        }

        return handle;
    }

    public override void Unmap(nint address, long bytes, ulong handle)
    {
        Use();
        Check(cuMemUnmap(address, (nuint)bytes), nameof(cuMemUnmap));
        Check(cuMemRelease(handle), nameof(cuMemRelease));
    }

    public override void Release(nint address, long bytes)
    {
        Use();
        Check(cuMemAddressFree(address, (nuint)bytes), nameof(cuMemAddressFree));
    }

    public override nint AllocateHost(long bytes)
    {
        Use();
        nint address;
        Check(cuMemHostAlloc(&address, (nuint)bytes, 0), nameof(cuMemHostAlloc));
        return address;
    }

    public override void FreeHost(nint address)
    {
        Use();
        Check(cuMemFreeHost(address), nameof(cuMemFreeHost));
    }

    public override void Zero(nint address, long bytes)
    {
        Use();
        Check(cuMemsetD8Async(address, 0, (nuint)bytes, _stream), nameof(cuMemsetD8Async));
    }

    public override void Upload(nint host, nint device, long bytes)
    {
        Use();
        Check(cuMemcpyHtoDAsync(device, host, (nuint)bytes, _stream), nameof(cuMemcpyHtoDAsync));
    }

    public override void Download(nint device, nint host, long bytes)
    {
        Use();
        Check(cuMemcpyDtoHAsync(host, device, (nuint)bytes, _stream), nameof(cuMemcpyDtoHAsync));
    }

    public override void Copy(nint source, nint target, long bytes)
    {
        Use();
        Check(cuMemcpyDtoDAsync(target, source, (nuint)bytes, _stream), nameof(cuMemcpyDtoDAsync));
    }

    public override nint LoadModule(string name, ReadOnlySpan<byte> ptx)
    {
        Use();
        if (_cubins && Cubins.Find(Cubins.Folder, ptx, Device) is { } cubin && Load(cubin, out nint assembled, out _) == 0)
        {
            AssembledModules++;
            return assembled;
        }

        // The text ends with a zero.
        int result = Load([.. ptx, 0], out nint module, out string log);
        if (result != 0)
        {
            string words = $"{Words(result)}{(log.Length > 0 ? ": " + log : "")}";
            throw new CudaException(nameof(cuModuleLoadDataEx), result, $"{nameof(cuModuleLoadDataEx)} of {name}: {words}");
        }

        return module;
    }

    public override void UnloadModule(nint module)
    {
        Use();
        Check(cuModuleUnload(module), nameof(cuModuleUnload));
    }

    public override nint GetFunction(nint module, string name, int sharedBytes)
    {
        const int MaxDynamicShared = 8;
        Use();
        nint function;
        Check(cuModuleGetFunction(&function, module, name), $"{nameof(cuModuleGetFunction)} of {name}");
        if (sharedBytes > 48 << 10)
        {
            Check(cuFuncSetAttribute(function, MaxDynamicShared, sharedBytes), $"{nameof(cuFuncSetAttribute)} of {name}");
        }

        return function;
    }

    public override void Launch(nint function, int gridX, int gridY, int block, int sharedBytes, nint arguments, bool overlap)
    {
        Use();
        LaunchAttribute attribute = new() { Id = 6, Value = 1 };
        LaunchConfig config = new()
        {
            GridX = (uint)gridX,
            GridY = (uint)gridY,
            GridZ = 1,
            BlockX = (uint)block,
            BlockY = 1,
            BlockZ = 1,
            SharedBytes = (uint)sharedBytes,
            Stream = _stream,
            Attributes = &attribute,
            AttributeCount = overlap && _overlaps ? 1u : 0,
        };
        nint* parameters = stackalloc nint[] { arguments };
        int result = _overlaps
            ? cuLaunchKernelEx(&config, function, parameters, 0)
            : cuLaunchKernel(function, config.GridX, config.GridY, 1, config.BlockX, 1, 1, config.SharedBytes, _stream, parameters, 0);
        Check(result, _overlaps ? nameof(cuLaunchKernelEx) : nameof(cuLaunchKernel));
    }

    public override void BeginCapture()
    {
        const int ThreadLocal = 1;
        Use();
        Check(cuStreamBeginCapture(_stream, ThreadLocal), nameof(cuStreamBeginCapture));
    }

    public override nint EndCapture(bool discard)
    {
        Use();
        nint graph;
        int result = cuStreamEndCapture(_stream, &graph);
        if (discard)
        {
            if (result == 0 && graph != 0)
            {
                _ = cuGraphDestroy(graph);
            }

            return 0;
        }

        Check(result, nameof(cuStreamEndCapture));
        nint executable;
        result = cuGraphInstantiateWithFlags(&executable, graph, 0);
        _ = cuGraphDestroy(graph);
        Check(result, nameof(cuGraphInstantiateWithFlags));
        return executable;
    }

    public override void LaunchGraph(nint graph)
    {
        Use();
        Check(cuGraphLaunch(graph, _stream), nameof(cuGraphLaunch));
    }

    public override void DestroyGraph(nint graph)
    {
        Use();
        Check(cuGraphExecDestroy(graph), nameof(cuGraphExecDestroy));
    }

    public override void Synchronize()
    {
        Use();
        Check(cuStreamSynchronize(_stream), nameof(cuStreamSynchronize));
    }

    public override nint CreateEvent()
    {
        Use();
        nint happening;
        Check(cuEventCreate(&happening, 0), nameof(cuEventCreate));
        return happening;
    }

    public override void Record(nint happening) => Check(cuEventRecord(happening, _stream), nameof(cuEventRecord));

    public override double Seconds(nint first, nint second)
    {
        float milliseconds;
        Check(cuEventSynchronize(second), nameof(cuEventSynchronize));
        Check(cuEventElapsedTime(&milliseconds, first, second), nameof(cuEventElapsedTime));
        return milliseconds / 1e3;
    }

    public override void DestroyEvent(nint happening) => Check(cuEventDestroy(happening), nameof(cuEventDestroy));

    public override void Dispose()
    {
        if (_context != 0)
        {
            // Whatever failed before, the process goes on.
            _ = cuCtxSetCurrent(_context);
            _ = cuStreamDestroy(_stream);
            _ = cuDevicePrimaryCtxRelease(_device);
            _context = 0;
        }
    }

    private static int Load(byte[] bytes, out nint module, out string log)
    {
        const int InfoLogBuffer = 3;
        const int InfoLogBytes = 4;
        const int ErrorLogBuffer = 5;
        const int ErrorLogBytes = 6;
        byte[] errors = new byte[LogBytes];
        byte[] infos = new byte[LogBytes];
        fixed (byte* image = bytes)
        fixed (byte* error = errors)
        fixed (byte* info = infos)
        {
            int* options = stackalloc int[] { InfoLogBuffer, InfoLogBytes, ErrorLogBuffer, ErrorLogBytes };
            nint* values = stackalloc nint[] { (nint)info, LogBytes, (nint)error, LogBytes };
            nint loaded = 0;
            int result = cuModuleLoadDataEx(&loaded, image, 4, options, values);
            module = loaded;
            log = Encoding.UTF8.GetString(errors).TrimEnd('\0', '\n', ' ').ReplaceLineEndings("; ");
            return result;
        }
    }

    private CudaDeviceInfo Describe()
    {
        byte* name = stackalloc byte[256];
        Check(cuDeviceGetName(name, 256, _device), nameof(cuDeviceGetName));
        nuint memory;
        Check(cuDeviceTotalMem(&memory, _device), nameof(cuDeviceTotalMem));
        int version;
        Check(cuDriverGetVersion(&version), nameof(cuDriverGetVersion));
        return new CudaDeviceInfo(
            Marshal.PtrToStringUTF8((nint)name) ?? "", Attribute(75), Attribute(76), Attribute(16), (long)memory, Attribute(97),
            Attribute(38), version);
    }

    /// <param name="number">A CUdevice_attribute: 75, 76 compute capability, 16 multiprocessors, 97 shared memory of a block opted in to,
    /// 38 L2 bytes.</param>
    private int Attribute(int number)
    {
        int value;
        Check(cuDeviceGetAttribute(&value, number, _device), nameof(cuDeviceGetAttribute));
        return value;
    }

    /// <summary>The context belongs to a thread; loading and decoding may be two. Half a microsecond at most.</summary>
    private void Use() => Check(cuCtxSetCurrent(_context), nameof(cuCtxSetCurrent));

    private static void Check(int result, string call)
    {
        if (result != 0)
        {
            throw new CudaException(call, result, $"{call}: {Words(result)}");
        }
    }

    private static string Words(int result)
    {
        nint name;
        nint text;
        string known = cuGetErrorName(result, &name) == 0 ? Marshal.PtrToStringUTF8(name) ?? "" : "unknown error";
        return cuGetErrorString(result, &text) == 0 ? $"{known} ({result}), {Marshal.PtrToStringUTF8(text)}" : $"{known} ({result})";
    }
}
