using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

/// <summary>Tensors, weights and caches for one test, filled by one random number generator, freed together.</summary>
internal sealed unsafe class Arena(int seed = 1) : IDisposable
{
    private readonly List<NativeMemoryBlock> _blocks = [];

    public Random Random { get; } = new(seed);

    /// <summary>The fast sets of this machine.</summary>
    public static string[] FastNames { get; } = [.. KernelCatalog.Available.Select(set => set.Name).Where(name => name != "reference")];

    /// <inheritdoc cref="FastNames"/>
    public static TheoryData<string> FastSets => [.. FastNames];

    public static bool SameBits(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        for (int i = 0; i < a.Length; i++)
        {
            if (BitConverter.SingleToInt32Bits(a[i]) != BitConverter.SingleToInt32Bits(b[i]))
            {
                return false;
            }
        }

        return a.Length == b.Length;
    }

    /// <summary>Largest difference relative to the largest value.</summary>
    public static double Difference(Tensor a, Tensor b)
    {
        double difference = 0;
        double largest = 1e-30;
        for (int row = 0; row < a.Rows; row++)
        {
            for (int i = 0; i < a.Columns; i++)
            {
                double x = a.Floats(row)[i];
                double y = b.Floats(row)[i];
                difference = x.Equals(y) ? difference
                    : Math.Max(difference, double.IsNaN(x - y) ? double.PositiveInfinity : Math.Abs(x - y));
                largest = Math.Max(largest, Math.Abs(y));
            }
        }

        return difference / largest;
    }

    public nint Allocate(long bytes)
    {
        NativeMemoryBlock block = new(Math.Max(64, bytes));
        _blocks.Add(block);
        return block.Address;
    }

    /// <summary>An F32 tensor with NaN in the padding of its rows.</summary>
    public Tensor Zeros(int rows, int columns)
    {
        int stride = (columns + 15) & ~15;
        Tensor tensor = new(DType.F32, rows, columns, stride, Allocate((long)rows * stride * 4));
        for (int row = 0; row < rows; row++)
        {
            (tensor with { Columns = stride }).Floats(row)[columns..].Fill(float.NaN);
        }

        return tensor;
    }

    public Tensor Normal(int rows, int columns, float scale = 1)
    {
        Tensor tensor = Zeros(rows, columns);
        for (int row = 0; row < rows; row++)
        {
            foreach (ref float value in tensor.Floats(row))
            {
                value = scale * Normal();
            }
        }

        return tensor;
    }

    public Tensor Copy(Tensor source)
    {
        Tensor copy = Zeros(source.Rows, source.Columns);
        for (int row = 0; row < source.Rows; row++)
        {
            source.Floats(row).CopyTo(copy.Floats(row));
        }

        return copy;
    }

    /// <summary>Random weights <c>[outputs, inputs]</c> of some type, not packed.</summary>
    public Tensor RawWeights(DType type, int outputs, int inputs, float scale = 1)
    {
        nint data = Allocate((long)outputs * inputs * 4);
        for (int i = 0; i < outputs * inputs; i++)
        {
            Write(type, data, i, scale * Normal());
        }

        return new Tensor(type, outputs, inputs, data);
    }

    public WeightMatrix Weights(IKernels kernels, DType type, int outputs, int inputs, float scale = 1) =>
        Pack(kernels, RawWeights(type, outputs, inputs, scale));

    public WeightMatrix Pack(IKernels kernels, Tensor raw, bool transposed = false)
    {
        StoredTensor stored = new(DenseFormat.Of(raw.Type), raw.Rows, raw.Columns, raw.Data);
        MatrixPart part = new(stored, transposed);
        WeightMatrix matrix = kernels.Describe(stored.Format, part.Outputs, part.Inputs);
        NativeMemoryBlock block = new(matrix.Bytes);
        _blocks.Add(block);
        matrix.Place(block, 0);
        kernels.Pack(matrix, part);
        return matrix;
    }

    /// <summary>A cache layer, every number NaN: all bits set is NaN in every type.</summary>
    public KvLayer Cache(CacheType type, int kvHeads, int headDim, int slots)
    {
        long bytes = new KvShape(kvHeads, headDim).Bytes(type, slots);
        KvLayer layer = new(type, kvHeads, headDim, slots, Allocate(bytes), Allocate(bytes));
        new Span<byte>((void*)layer.Keys, (int)bytes).Fill(0xFF);
        new Span<byte>((void*)layer.Values, (int)bytes).Fill(0xFF);
        return layer;
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock block in _blocks)
        {
            block.Dispose();
        }
    }

    private static void Write(DType type, nint data, long index, float value)
    {
        switch (type)
        {
            case DType.F32:
                ((float*)data)[index] = value;
                break;
            case DType.F16:
                ((Half*)data)[index] = (Half)value;
                break;
            default:
                ((ushort*)data)[index] = (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
                break;
        }
    }

    private float Normal() =>
        (float)(Math.Sqrt(-2 * Math.Log(1 - Random.NextDouble())) * Math.Cos(2 * Math.PI * Random.NextDouble()));
}
