using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Inputs of products as plain weights read them: F32, strides of whole vectors.</summary>
internal sealed class CpuInput : ProductInput
{
    private readonly NativeMemoryBlock _block;

    public CpuInput(int maxRows, int columns)
        : base(maxRows, columns)
    {
        int stride = (columns + 15) / 16 * 16;
        _block = new NativeMemoryBlock((long)maxRows * stride * sizeof(float));
        Floats = _block.View(DType.F32, maxRows, columns, stride);
    }

    /// <summary>F32 <c>[MaxRows, Columns]</c></summary>
    public Tensor Floats { get; }

    public static Tensor FloatsOf(InputRows rows) => ((CpuInput)rows.Input).Floats.RowRange(rows.First, rows.Count).ColumnRange(0, rows.Columns);

    public override void Dispose() => _block.Dispose();
}
