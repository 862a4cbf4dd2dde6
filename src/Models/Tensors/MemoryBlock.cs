namespace Understory.Models.Tensors;

/// <summary>Memory owned by one object: the host's or a device's. Freed once, by <see cref="Dispose"/>.</summary>
public abstract class MemoryBlock : IDisposable
{
    /// <summary>First byte, aligned to at least 64 bytes.</summary>
    public nint Address { get; protected set; }

    public long Bytes { get; protected init; }

    /// <summary>A matrix that begins <paramref name="offset"/> bytes into the block.</summary>
    public Tensor View(DType type, int rows, int columns, int stride, long offset = 0)
    {
        long end = offset + ((long)rows * stride * type.Size());
        ArgumentOutOfRangeException.ThrowIfGreaterThan(end, Bytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(stride, columns);
        return new Tensor(type, rows, columns, stride, Address + (nint)offset);
    }

    /// <summary>
    /// Sees to it that the first <paramref name="bytes"/> bytes have memory behind them, where that is not the system's business.
    /// </summary>
    /// <exception cref="InsufficientMemoryException">There is none left.</exception>
    public virtual void Reach(long bytes)
    {
    }

    public void Dispose()
    {
        if (Address != 0)
        {
            Free();
            Address = 0;
        }

        GC.SuppressFinalize(this);
    }

    protected abstract void Free();
}
