using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Models.Kernels.Cuda;

/// <summary>The rows of a pass on the device: one upload before it, always to the same place, so that graphs find it there.</summary>
internal sealed unsafe class PassBuffer : IDisposable
{
    private const int Bytes = 1 << 19;

    /// <summary>Uploads that may be under way.</summary>
    private const int Slots = 8;

    private readonly CudaDriver _driver;
    private readonly DeviceMemory _device;
    private readonly nint _host;
    private int _next;

    public PassBuffer(CudaDriver driver)
    {
        _driver = driver;
        _device = new DeviceMemory(driver, Bytes, zeroed: false);
        _host = driver.AllocateHost(Bytes * Slots);
    }

    public nint Address => _device.Address;

    /// <summary>No row of the last upload has ancestors: a position's slot is its number.</summary>
    public bool Plain { get; private set; }

    /// <summary>Uploads the batch's rows, filled up to <paramref name="rows"/> rows that see nothing and are stored nowhere.</summary>
    /// <param name="cache">The cache's first byte.</param>
    public void Upload(ForwardBatch batch, int rows, nint cache)
    {
        int stride = 0;
        for (int row = 0; row < batch.Count; row++)
        {
            stride = Math.Max(stride, batch.AncestorCount[row]);
        }

        Plain = stride == 0;
        long bytes = sizeof(PassHeader) + ((long)rows * sizeof(PassRow)) + ((long)batch.Count * stride * sizeof(int));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Bytes);
        nint host = Take();
        *(PassHeader*)host = new PassHeader { Rows = rows, Stride = stride, Cache = cache };
        var entries = (PassRow*)(host + sizeof(PassHeader));
        int* ancestors = (int*)(entries + rows);
        for (int row = 0; row < batch.Count; row++)
        {
            entries[row] = new PassRow
            {
                Token = batch.Tokens[row],
                Position = batch.Positions[row],
                Slot = batch.Slots[row],
                Prefix = batch.Prefix[row],
                Ancestors = batch.AncestorCount[row],
            };
            Span<int> path = new(ancestors + ((long)row * stride), stride);
            batch.Ancestors.AsSpan(row * batch.MaxDepth, batch.AncestorCount[row]).CopyTo(path);
            path[batch.AncestorCount[row]..].Clear();
        }

        for (int row = batch.Count; row < rows; row++)
        {
            entries[row] = new PassRow { Slot = -1 };
        }

        _driver.Upload(host, _device.Address, bytes);
    }

    public void Dispose()
    {
        _driver.FreeHost(_host);
        _device.Dispose();
    }

    private nint Take()
    {
        if (_next == Slots)
        {
            _driver.Synchronize();
            _next = 0;
        }

        return _host + (Bytes * _next++);
    }
}
