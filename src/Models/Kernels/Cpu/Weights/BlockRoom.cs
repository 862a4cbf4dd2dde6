using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Weights;

/// <summary>One thread's room for a block of 16 outputs that is packed while it is multiplied with.</summary>
internal sealed unsafe class BlockRoom : IDisposable
{
    private readonly List<(QuantisedForm Form, int Columns, QuantisedRow[] Rows)> _rows = [];
    private NativeMemoryBlock? _memory;

    /// <summary>At least so many bytes, until the next call.</summary>
    public byte* Reserve(long bytes)
    {
        if (_memory is null || _memory.Bytes < bytes)
        {
            _memory?.Dispose();
            _memory = new NativeMemoryBlock(bytes);
        }

        return (byte*)_memory.Address;
    }

    /// <summary>Sixteen rows of a form, made once for each form and width.</summary>
    public QuantisedRow[] Rows(QuantisedForm form, int columns)
    {
        foreach ((QuantisedForm known, int width, QuantisedRow[] rows) in _rows)
        {
            if (ReferenceEquals(known, form) && width == columns)
            {
                return rows;
            }
        }

        QuantisedRow[] made = [.. Enumerable.Range(0, CpuMatrix.BlockRows).Select(_ => new QuantisedRow(form, columns))];
        _rows.Add((form, columns, made));
        return made;
    }

    public void Dispose() => _memory?.Dispose();
}
