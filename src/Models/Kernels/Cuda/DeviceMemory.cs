using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>Device memory in one piece.</summary>
internal sealed class DeviceMemory : MemoryBlock
{
    private readonly CudaDriver _driver;

    /// <exception cref="InsufficientMemoryException">It does not fit: says what would.</exception>
    public DeviceMemory(CudaDriver driver, long bytes, bool zeroed)
    {
        _driver = driver;
        Bytes = bytes;
        try
        {
            Address = driver.Allocate(bytes);
        }
        catch (CudaException e) when (e.OutOfMemory)
        {
            throw new InsufficientMemoryException(
                $"{driver.Device.Name} has {driver.FreeMemory:N0} of its {driver.Device.MemoryBytes:N0} bytes free, and {bytes:N0} are "
                    + "needed in one piece: "
                + "a smaller model, a smaller --context, or --device cpu would do.", e);
        }

        if (zeroed)
        {
            driver.Zero(Address, bytes);
        }
    }

    protected override void Free() => _driver.Free(Address);
}

/// <summary>
/// A range of device addresses behind which memory is put as far as it is reached, so that a KV cache of the whole context takes memory
/// for the tokens that it holds while its addresses stay.
/// </summary>
internal sealed class GrowingMemory : MemoryBlock
{
    private readonly CudaDriver _driver;
    private readonly long _step;
    private readonly long _reserved;
    private readonly List<(long Offset, long Bytes, ulong Handle)> _parts = [];
    private long _reached;

    public GrowingMemory(CudaDriver driver, long bytes)
    {
        // A few steps at most: mapping one takes tens of microseconds.
        const int Steps = 32;
        _driver = driver;
        Bytes = bytes;
        long granularity = driver.MapGranularity;
        _step = Up(Math.Max(granularity, bytes / Steps), granularity);
        _reserved = Up(bytes, granularity);
        Address = driver.Reserve(_reserved);
    }

    public override void Reach(long bytes)
    {
        if (bytes <= _reached)
        {
            return;
        }

        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Bytes);
        long part = Math.Min(Up(bytes - _reached, _step), _reserved - _reached);
        try
        {
            ulong handle = _driver.Map(Address + (nint)_reached, part);
            _parts.Add((_reached, part, handle));
        }
        catch (CudaException e) when (e.OutOfMemory)
        {
            throw new InsufficientMemoryException(
                $"Keys and values need {part:N0} bytes more on {_driver.Device.Name}, of which {_driver.FreeMemory:N0} are free "
                    + $"({_reached:N0} of {Bytes:N0} are held): "
                + $"a --context of {100.0 * _reached / Bytes:F0} % of this one, or a smaller --prefix-cache-mb, would fit.", e);
        }

        _reached += part;
    }

    protected override void Free()
    {
        _driver.Synchronize();
        foreach ((long offset, long bytes, ulong handle) in _parts)
        {
            _driver.Unmap(Address + (nint)offset, bytes, handle);
        }

        _driver.Release(Address, _reserved);
    }

    private static long Up(long bytes, long step) => (bytes + step - 1) / step * step;
}
