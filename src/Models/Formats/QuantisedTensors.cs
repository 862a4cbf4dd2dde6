using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>What becomes of a matrix of plain numbers when it is read.</summary>
/// <param name="Format">One of <see cref="QuantisedTensors.Formats"/>; null: the file's own.</param>
/// <param name="Turned">
/// The file has it as <c>[inputs, outputs]</c>; it is shown as <c>[outputs, inputs]</c>, quantised along its inputs. So is each matrix of
/// a stack.
/// </param>
/// <param name="Again">Blocks of more bits are quantised once more: to Q4_1 where a row is no whole number of blocks.</param>
public readonly record struct MatrixPlan(WeightFormat? Format, bool Turned = false, bool Again = false);

/// <summary>
/// A checkpoint some of whose matrices, where they are plain numbers, are shown in a quantised format: their blocks are made when they are
/// read, by all threads, the same bytes whatever their number. Where a row is no whole number of blocks, the matrix is shown in Q8_0, or as
/// it is. What is quantised already stays as it is, unless the plan says otherwise.
/// </summary>
/// <param name="source">Stays the caller's.</param>
/// <param name="plan">What becomes of the matrix of a name.</param>
public sealed unsafe class QuantisedTensors(ITensorSource source, Func<string, MatrixPlan> plan) : ITensorSource
{
    /// <summary>Rows that one thread makes at a time: of 16-bit numbers that are turned, whole lines of a cache are read.</summary>
    private const int Band = 32;

    /// <summary>Inputs of a row that become blocks at a time: few enough that a band of them stays in the nearest cache.</summary>
    private const int Strip = 256;

    private readonly ConcurrentDictionary<nint, NativeMemoryBlock> _made = new();

    /// <summary>What matrices can be quantised to.</summary>
    public static IReadOnlyList<WeightFormat> Formats { get; } = [BlockFormat<Q8_0>.Instance, BlockFormat<Q4_K>.Instance];

    public IEnumerable<string> Names => source.Names;

    public bool Contains(string name) => source.Contains(name);

    public float ScaleOf(string name, int number = 0) => source.ScaleOf(name, number);

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape)
    {
        MatrixPlan wanted = PlanOf(name, shape);
        WeightFormat stored = source.FormatOf(name, wanted.Turned ? Turned(shape) : shape);
        if (wanted.Turned && stored is not DenseFormat)
        {
            throw new InvalidDataException($"tensor \"{FileText.Shown(name)}\" is {stored}, and such blocks cannot be turned.");
        }

        return wanted.Again ? Smaller(stored, wanted.Format!, shape[^1]) ?? stored
            : stored is DenseFormat && Formats.Contains(wanted.Format) ? Fitting(wanted.Format!, shape[^1]) ?? stored
            : stored;
    }

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape)
    {
        WeightFormat format = FormatOf(name, shape);
        bool turned = PlanOf(name, shape).Turned;
        StoredTensor stored = source.Read(name, turned ? Turned(shape) : shape);
        if (format == stored.Format && !turned)
        {
            return stored;
        }

        (int rows, int columns) = (shape[^2], shape[^1]);
        int stack = stored.Rows / (turned ? columns : rows);
        var memory = new NativeMemoryBlock(Math.Max(1, (long)stack * rows * format.Bytes(columns)));
        var made = new StoredTensor(format, stack * rows, columns, memory.Address, stored.Scale);
        _made[memory.Address] = memory;
        int bands = (rows + Band - 1) / Band;
        _ = Parallel.For(0, stack * bands, item =>
        {
            (int number, int band) = Math.DivRem(item, bands);
            (int first, int end) = (band * Band, Math.Min(rows, (band + 1) * Band));
            if (stored.Format is DenseFormat)
            {
                Make(Matrix(stored, stack, number), turned, Matrix(made, stack, number), first, end);
            }
            else
            {
                MakeAgain(Matrix(stored, stack, number), Matrix(made, stack, number), first, end);
            }
        });
        source.Release(stored);
        return made;
    }

    public void Release(StoredTensor tensor)
    {
        if (_made.TryRemove(tensor.Data, out NativeMemoryBlock? memory))
        {
            memory.Dispose();
        }
        else
        {
            source.Release(tensor);
        }
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock memory in _made.Values)
        {
            memory.Dispose();
        }

        _made.Clear();
    }

    /// <summary>The last two dimensions change places.</summary>
    private static int[] Turned(ReadOnlySpan<int> shape) => [.. shape[..^2], shape[^1], shape[^2]];

    /// <summary>One of a stack of equal matrices.</summary>
    private static StoredTensor Matrix(in StoredTensor tensor, int stack, int number)
    {
        int rows = tensor.Rows / stack;
        return tensor with { Rows = rows, Data = tensor.RowAddress(number * rows) };
    }

    private static WeightFormat? Fitting(WeightFormat format, int columns) =>
        columns % format.BlockElements == 0 ? format
        : columns % Q8_0.Elements == 0 ? BlockFormat<Q8_0>.Instance
        : null;

    /// <summary>The format wanted, or Q4_1, where rows are whole blocks of it and it takes at most three quarters of the bytes.</summary>
    private static WeightFormat? Smaller(WeightFormat stored, WeightFormat format, int columns)
    {
        WeightFormat smaller = columns % format.BlockElements == 0 ? format : BlockFormat<Q4_1>.Instance;
        return columns % smaller.BlockElements == 0 && 4 * smaller.Bytes(columns) <= 3 * stored.Bytes(columns) ? smaller : null;
    }

    /// <summary>Fills the rows <c>first .. end</c> from blocks.</summary>
    private static void MakeAgain(in StoredTensor from, in StoredTensor to, int first, int end)
    {
        var apart = from.Format is QuantisedFormat quantised ? new QuantisedRow(quantised.Form, from.Columns) : null;
        float[] numbers = new float[from.Columns];
        fixed (float* values = numbers)
        {
            for (int row = first; row < end; row++)
            {
                byte* blocks = (byte*)from.RowAddress(row);
                if (apart is null)
                {
                    from.Format.Decode(blocks, from.Columns, values);
                }
                else
                {
                    ((QuantisedFormat)from.Format).Read(blocks, from.Columns, apart);
                    apart.Decode(numbers);
                }

                Write(to.Format, values, from.Columns, (byte*)to.RowAddress(row));
            }
        }
    }

    /// <summary>Fills the rows <c>first .. end</c> from plain numbers.</summary>
    [SkipLocalsInit]
    private static void Make(in StoredTensor from, bool turned, in StoredTensor to, int first, int end)
    {
        int size = from.Format.BlockBytes;
        uint* room = stackalloc uint[turned ? Band * Strip : 1];
        float* values = stackalloc float[Strip];
        for (int column = 0; column < to.Columns; column += Strip)
        {
            int count = Math.Min(Strip, to.Columns - column);
            if (turned)
            {
                Turn(from, first, end, column, count, room);
            }

            for (int row = first; row < end; row++)
            {
                byte* numbers = turned
                    ? (byte*)room + ((long)(row - first) * count * size)
                    : (byte*)from.RowAddress(row) + ((long)column * size);
                byte* blocks = (byte*)to.RowAddress(row) + to.Format.Bytes(column);
                if (to.Format == from.Format)
                {
                    Buffer.MemoryCopy(numbers, blocks, count * size, count * size);
                    continue;
                }

                from.Format.Decode(numbers, count, values);
                Write(to.Format, values, count, blocks);
            }
        }
    }

    private static void Write(WeightFormat format, float* values, int count, byte* blocks)
    {
        if (format == BlockFormat<Q4_K>.Instance)
        {
            Write<Q4_K>(values, count, blocks);
        }
        else if (format == BlockFormat<Q4_1>.Instance)
        {
            Write<Q4_1>(values, count, blocks);
        }
        else
        {
            Write<Q8_0>(values, count, blocks);
        }
    }

    private static void Write<TBlock>(float* values, int count, byte* blocks)
        where TBlock : struct, IWritableBlock
    {
        for (int i = 0; i < count; i += TBlock.Elements, blocks += TBlock.Bytes)
        {
            TBlock.Write(values + i, blocks);
        }
    }

    /// <summary>Columns <c>first .. end</c> of some rows become rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Turn(in StoredTensor from, int first, int end, int row, int count, uint* to)
    {
        bool wide = from.Format.BlockBytes == sizeof(uint);
        for (int i = 0; i < count; i++)
        {
            nint source = from.RowAddress(row + i);
            for (int column = first; column < end; column++)
            {
                int at = ((column - first) * count) + i;
                if (wide)
                {
                    to[at] = ((uint*)source)[column];
                }
                else
                {
                    ((ushort*)to)[at] = ((ushort*)source)[column];
                }
            }
        }
    }

    private MatrixPlan PlanOf(string name, ReadOnlySpan<int> shape) => shape.Length < 2 ? default : plan(name);
}
