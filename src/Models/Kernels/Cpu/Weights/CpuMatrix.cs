using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Weights;

/// <summary>Weights in the layout that all CPU sets share: blocks of 16 outputs, each read front to back by one thread; an output never splits over threads.</summary>
internal abstract class CpuMatrix(WeightFormat format, int rows, int columns, long bytes) : WeightMatrix(format, rows, columns, bytes)
{
    public const int BlockRows = 16;

    /// <summary>Of outputs, the last one filled up with rows of zeros.</summary>
    public int Blocks { get; } = (rows + BlockRows - 1) / BlockRows;

    /// <summary>All weights to one output, as F32.</summary>
    public abstract void ReadRow(int row, Span<float> values);

    /// <summary>Fills the blocks <c>first .. end</c> of the matrix, which has been placed.</summary>
    /// <param name="rows">Where each output's weights come from.</param>
    public abstract void Pack(MatrixRows rows, int first, int end);
}
