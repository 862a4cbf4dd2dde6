using System.Runtime.CompilerServices;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Weights;

/// <summary>
/// Weights as plain numbers, in blocks of 16 outputs; inside a block the inputs run in pairs. Of 16-bit types each pair is 16 x 32 bits,
/// one per output: the even input in the low half, the odd one in the high half (so a 64-byte line expands to two vectors of 16 outputs by
/// a shift and a mask). Of F32 each input is 16 x 32 bits. An odd last input is padded with zero.
/// </summary>
/// <param name="type">In which they are held: the format's own, or the type that its values are rounded to.</param>
internal sealed unsafe class DenseMatrix(WeightFormat format, DType type, int rows, int columns, bool scaled = false)
    : CpuMatrix(format, rows, columns, (long)((rows + BlockRows - 1) / BlockRows) * BlockRows * ((columns + 1) & ~1) * type.Size(), scaled)
{
    public DType Type => type;

    /// <summary>Inputs of a block, padded to a whole pair.</summary>
    public int PaddedColumns => (Columns + 1) & ~1;

    /// <summary>Bytes from one block of 16 outputs to the next.</summary>
    public override long BlockBytes => (long)BlockRows * PaddedColumns * Type.Size();

    /// <summary>The weight from input <paramref name="column"/> to output <paramref name="row"/>.</summary>
    public float Read(int row, int column) => Scalar.Read(Type, Data, Index(row, column));

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    protected override void Decode(int row, Span<float> values)
    {
        if (Type == DType.F32)
        {
            float* source = (float*)Data + Index(row, 0);
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = source[(long)i * BlockRows];
            }

            return;
        }

        bool brain = Type == DType.BF16;
        uint* pairs = (uint*)Data + (Index(row, 0) / 2);
        for (int i = 0; i < values.Length; i++)
        {
            ushort bits = (ushort)(pairs[(long)(i >> 1) * BlockRows] >> (16 * (i & 1)));
            values[i] = brain ? Scalar.FromBFloat16(bits) : Scalar.FromFloat16(bits);
        }
    }

    protected override void PackBlocks(MatrixRows rows, int first, int end, byte* target, BlockRoom? room)
    {
        if (rows.Transposed is { } turned)
        {
            PackTransposed(turned, first, end, target);
            return;
        }

        // An F32, or a pair of 16-bit inputs, is a word: a block is its rows' words transposed.
        int words = Columns * Type.Size() / sizeof(uint);
        uint** sources = stackalloc uint*[BlockRows];
        int roomPerRow = 2 * Columns;
        float[] values = Format == DenseFormat.Of(Type) ? [] : GC.AllocateUninitializedArray<float>(BlockRows * roomPerRow, pinned: true);
        for (int block = first; block < end; block++)
        {
            int lanes = Math.Min(BlockRows, Rows - (block * BlockRows));
            for (int lane = 0; lane < lanes; lane++)
            {
                Span<float> own = values.Length == 0 ? [] : values.AsSpan(lane * roomPerRow, roomPerRow);
                int row = (block * BlockRows) + lane;
                sources[lane] = (uint*)(Factors == null ? rows.Values(row, Type, own) : rows.Unscaled(row, Type, own));
            }

            uint* packed = (uint*)(target + ((block - first) * BlockBytes));
            WordTranspose.Run(sources, lanes, words, packed);
            if (Type == DType.F32 ? PaddedColumns > Columns : PaddedColumns > 2 * words)
            {
                PackLast(sources, lanes, packed + ((long)words * BlockRows));
            }
        }
    }

    /// <summary>An odd last input of a 16-bit type, or the padding behind one of F32.</summary>
    private void PackLast(uint** sources, int lanes, uint* target)
    {
        for (int lane = 0; lane < BlockRows; lane++)
        {
            target[lane] = Type != DType.F32 && lane < lanes ? ((ushort*)sources[lane])[Columns - 1] : 0u;
        }
    }

    /// <summary>
    /// Rows of the source are inputs: an input's outputs stand side by side, and a run of blocks of them is copied at once.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void PackTransposed(in MatrixPart part, int first, int end, byte* to)
    {
        nint source = part.Tensor.Data;
        int columns = part.Tensor.Columns;
        int step = part.Step;
        for (int input = 0; input < PaddedColumns; input += Type == DType.F32 ? 1 : 2)
        {
            for (int block = first; block < end; block++)
            {
                long from = ((long)input * columns) + part.SourceRow(block * BlockRows);
                uint* target = (uint*)(to + ((block - first) * BlockBytes)) + ((long)(Type == DType.F32 ? input : input / 2) * BlockRows);
                int lanes = Math.Min(BlockRows, Rows - (block * BlockRows));
                bool odd = input + 1 < Columns;
                for (int lane = 0; lane < BlockRows; lane++)
                {
                    target[lane] = lane >= lanes || input >= Columns ? 0u
                        : Type == DType.F32 ? ((uint*)source)[from + (lane * step)]
                        : ((ushort*)source)[from + (lane * step)]
                            | (odd ? (uint)((ushort*)source)[from + columns + (lane * step)] << 16 : 0u);
                }
            }
        }
    }

    /// <summary>Where a weight is, in elements from the begin.</summary>
    private long Index(int row, int column)
    {
        long block = (long)(row / BlockRows) * BlockRows * PaddedColumns;
        int lane = row % BlockRows;
        return Type == DType.F32
            ? block + ((long)column * BlockRows) + lane
            : block + ((long)(column >> 1) * 2 * BlockRows) + (2 * lane) + (column & 1);
    }
}
