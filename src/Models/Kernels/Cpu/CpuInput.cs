using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// Inputs of products: F32, strides of whole vectors, as plain weights read them; and for quantised weights the same rows as 8-bit
/// integers, made when the first such product asks for them and kept until the rows are written anew.
/// </summary>
internal sealed class CpuInput : ProductInput
{
    private readonly NativeMemoryBlock _block;
    private readonly NativeMemoryBlock? _integers;
    private (int First, int Count, int Columns) _held;

    public CpuInput(int maxRows, int columns, IEnumerable<WeightFormat> readers)
        : base(maxRows, columns)
    {
        int stride = (columns + 15) / 16 * 16;
        _block = new NativeMemoryBlock((long)maxRows * stride * sizeof(float));
        Floats = _block.View(DType.F32, maxRows, columns, stride);
        if (readers.Any(format => format is QuantisedFormat))
        {
            _integers = new NativeMemoryBlock(QuantisedInput.Bytes(maxRows, columns));
        }
    }

    /// <summary>F32 <c>[MaxRows, Columns]</c></summary>
    private Tensor Floats { get; }

    /// <summary>F32, to be read.</summary>
    public static Tensor Read(InputRows rows) => ((CpuInput)rows.Input).View(rows);

    /// <summary>F32, to be written: whatever other form the rows had is void.</summary>
    public static Tensor Write(InputRows rows)
    {
        var input = (CpuInput)rows.Input;
        input._held = default;
        return input.View(rows);
    }

    /// <summary>The rows as integers.</summary>
    /// <param name="stale">They must be quantised first.</param>
    public static QuantisedInput Integers(InputRows rows, out bool stale)
    {
        var input = (CpuInput)rows.Input;
        NativeMemoryBlock memory = input._integers
            ?? throw new InvalidOperationException(
                "These inputs were made for plain weights, and a product with quantised ones reads them.");
        stale = input._held != (rows.First, rows.Count, rows.Columns);
        input._held = (rows.First, rows.Count, rows.Columns);
        return new QuantisedInput(memory.Address, rows.Count, rows.Columns);
    }

    public override void Dispose()
    {
        _block.Dispose();
        _integers?.Dispose();
    }

    private Tensor View(InputRows rows) => Floats.RowRange(rows.First, rows.Count).ColumnRange(0, rows.Columns);
}
