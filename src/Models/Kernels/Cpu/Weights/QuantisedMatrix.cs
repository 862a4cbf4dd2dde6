using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Weights;

/// <summary>Weights in blocks that share scales, in the bits of their file: see <see cref="QuantisedLayout"/>.</summary>
internal sealed unsafe class QuantisedMatrix : CpuMatrix
{
    private readonly QuantisedFormat _format;

    public QuantisedMatrix(QuantisedFormat format, int rows, int columns, bool scaled = false)
        : this(format, new QuantisedLayout(format.Form, rows, columns), scaled)
    {
    }

    private QuantisedMatrix(QuantisedFormat format, QuantisedLayout layout, bool scaled)
        : base(format, layout.Rows, layout.Columns, layout.Bytes, scaled) => (_format, Layout) = (format, layout);

    public QuantisedLayout Layout { get; }

    public override long BlockBytes => Layout.BlockBytes;

    protected override void Decode(int row, Span<float> values)
    {
        fixed (float* target = values)
        {
            QuantisedPacker.Decode(Layout, (byte*)Data, row, target);
        }
    }

    protected override void PackBlocks(MatrixRows rows, int first, int end, byte* target, BlockRoom? room)
    {
        QuantisedRow[] parts = room?.Rows(_format.Form, Columns)
            ?? [.. Enumerable.Range(0, BlockRows).Select(_ => new QuantisedRow(_format.Form, Columns))];
        for (int block = first; block < end; block++)
        {
            int outputs = Math.Min(BlockRows, Rows - (block * BlockRows));
            for (int i = 0; i < outputs; i++)
            {
                _format.Read((byte*)rows.Row((block * BlockRows) + i), Columns, parts[i]);
                if (room is null && parts[i].HasBadScale)
                {
                    throw new InvalidDataException($"row {(block * BlockRows) + i} has a scale that is NaN or infinite");
                }
            }

            QuantisedPacker.Pack(Layout, parts.AsSpan(0, outputs), target + ((block - first) * Layout.BlockBytes));
        }
    }
}
