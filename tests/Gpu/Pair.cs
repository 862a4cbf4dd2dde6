using System.Runtime.InteropServices;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using Understory.Models.Tests.Kernels;

namespace Understory.Gpu;

/// <summary>Activations, F32, twice: in the host's memory and on the device.</summary>
internal readonly record struct Operand(Tensor Host, Tensor Device)
{
    public Operand Rows(int first, int rows) => new(Host.RowRange(first, rows), Device.RowRange(first, rows));

    public Operand Columns(int first, int columns) => new(Host.ColumnRange(first, columns), Device.ColumnRange(first, columns));
}

/// <summary>A weight matrix twice.</summary>
internal sealed record Weights(WeightMatrix Host, WeightMatrix Device);

/// <summary>One layer of a cache twice.</summary>
internal sealed record Cache(KvLayer Host, KvLayer Device);

/// <summary>The CPU's reference beside the device: operands with the same bits on both, operations that run on both or on one.</summary>
internal sealed unsafe class Pair(CudaKernels device, int seed) : IDisposable
{
    private readonly List<MemoryBlock> _blocks = [];
    private readonly List<ProductInput> _inputs = [];

    public CudaKernels Device { get; } = device;

    public IKernels Reference { get; } = KernelCatalog.Create("reference");

    public Random Random { get; } = new(seed);

    /// <summary>Random numbers between -scale and scale, with the bits that <paramref name="rounded"/> keeps.</summary>
    public Operand Uniform(int rows, int columns, float scale = 1, DType rounded = DType.F32)
    {
        Operand made = Room(rows, columns);
        for (int row = 0; row < rows; row++)
        {
            foreach (ref float value in made.Host.Floats(row))
            {
                value = Round(rounded, scale * ((Random.NextSingle() * 2) - 1));
            }
        }

        Upload(made);
        return made;
    }

    /// <summary>Room for a result: NaN on the device.</summary>
    public Operand Room(int rows, int columns)
    {
        int stride = (columns + 15) & ~15;
        long bytes = (long)rows * stride * sizeof(float);
        var host = new NativeMemoryBlock(bytes);
        MemoryBlock memory = Device.Allocate(bytes, sparse: false);
        _blocks.AddRange([host, memory]);
        var made = new Operand(host.View(DType.F32, rows, columns, stride), memory.View(DType.F32, rows, columns, stride));
        Poison(made);
        return made;
    }

    /// <summary>Writes NaN to the device's side: what a kernel leaves out is seen.</summary>
    public void Poison(Operand operand)
    {
        float[] nan = new float[(long)operand.Device.Rows * operand.Device.Stride];
        nan.AsSpan().Fill(float.NaN);
        Device.Write(nan, operand.Device.Data);
    }

    /// <summary>Copies the host's side to the device, padding and all.</summary>
    public void Upload(Operand operand) => Device.Write(All(operand.Host), operand.Device.Data);

    /// <summary>Writes the host's side of one to the device's side of another.</summary>
    public void Copy(Operand from, Operand to) => Device.Write(All(from.Host), to.Device.Data);

    /// <summary>The device's side, row by row.</summary>
    public float[][] Download(Operand operand)
    {
        float[] all = new float[(long)operand.Device.Rows * operand.Device.Stride];
        Device.Read(operand.Device.Data, all);
        (int stride, int columns) = (operand.Device.Stride, operand.Device.Columns);
        return [.. Enumerable.Range(0, operand.Device.Rows).Select(row => all.AsSpan(row * stride, columns).ToArray())];
    }

    /// <summary>Random weights <c>[outputs, inputs]</c>, given as <c>[inputs, outputs]</c> where <paramref name="transposed"/>.</summary>
    public Weights Matrix(DType type, int outputs, int inputs, bool transposed = false)
    {
        (int rows, int columns) = transposed ? (inputs, outputs) : (outputs, inputs);
        float scale = 2 / MathF.Sqrt(inputs);
        var raw = new NativeMemoryBlock((long)rows * columns * type.Size());
        _blocks.Add(raw);
        Tensor view = raw.View(type, rows, columns, columns);
        for (long i = 0; i < (long)rows * columns; i++)
        {
            Scalar.Write(type, view.Data, i, scale * ((Random.NextSingle() * 2) - 1));
        }

        return new Weights(Pack(Reference), Pack(Device));

        WeightMatrix Pack(IKernels kernels)
        {
            var format = DenseFormat.Of(type);
            WeightMatrix matrix = kernels.Describe(format, outputs, inputs);
            MemoryBlock packed = kernels.Allocate(matrix.Bytes, sparse: false);
            _blocks.Add(packed);
            matrix.Place(packed, 0);
            kernels.Pack(matrix, new MatrixPart(new StoredTensor(format, rows, columns, view.Data), transposed));
            return matrix;
        }
    }

    public Cache Cache(DType type, int kvHeads, int headDim, int slots)
    {
        return new Cache(Layer(Reference), Layer(Device));

        KvLayer Layer(IKernels kernels)
        {
            var layers = new KvLayer[1];
            MemoryBlock memory = kernels.AllocateCache(layers, [new KvShape(kvHeads, headDim)], CacheTypes.Of(type), slots);
            _blocks.Add(memory);
            memory.Reach(memory.Bytes);
            return layers[0];
        }
    }

    /// <summary>The operations as one pass: the first of its kind runs as it is, the second is recorded, the others repeat that.</summary>
    public void Pass(object model, ForwardBatch batch, Cache cache, Action operations)
    {
        if (Device.BeginPass(model, batch, [cache.Device]))
        {
            operations();
            Device.EndPass();
        }
    }

    public void Multiply(Weights weights, Operand x, Operand y, Operand? bias = null, bool gelu = false, bool add = false)
    {
        MultiplyOnHost(weights, x, y, bias, gelu, add);
        MultiplyOnDevice(weights, x, y, bias, gelu, add);
    }

    public void MultiplyOnHost(Weights weights, Operand x, Operand y, Operand? bias = null, bool gelu = false, bool add = false) =>
        Reference.MatMul(weights.Host, x.Host, y.Host, Epilogue(bias?.Host, gelu, add));

    public void MultiplyOnDevice(Weights weights, Operand x, Operand y, Operand? bias = null, bool gelu = false, bool add = false) =>
        Device.MatMul(weights.Device, x.Device, y.Device, Epilogue(bias?.Device, gelu, add));

    public void GatedOnHost(Weights gate, Weights up, Operand x, Operand y) =>
        Reference.GatedMatMul(gate.Host, up.Host, x.Host, y.Host, Activation.Silu);

    public void GatedOnDevice(Weights gate, Weights up, Operand x, Operand y) =>
        Device.GatedMatMul(gate.Device, up.Device, x.Device, y.Device, Activation.Silu);

    /// <summary>LayerNorm; without a bias RMSNorm.</summary>
    public void Norm(Operand x, Operand weight, Operand? bias, float epsilon, Operand output)
    {
        if (bias is { } shift)
        {
            Reference.LayerNorm(x.Host, weight.Host, shift.Host, epsilon, output.Host);
            Device.LayerNorm(x.Device, weight.Device, shift.Device, epsilon, output.Device);
        }
        else
        {
            Reference.RmsNorm(x.Host, weight.Host, epsilon, output.Host);
            Device.RmsNorm(x.Device, weight.Device, epsilon, output.Device);
        }
    }

    public void StoreOnDevice(Operand qkv, int heads, Cache cache, ForwardBatch batch) =>
        Device.StoreKeysValues(qkv.Device, heads, default, cache.Device, batch);

    public void AttendOnDevice(Operand queries, Cache cache, AttentionParams attention, ForwardBatch batch, Operand output) =>
        Device.Attend(queries.Device, cache.Device, attention, batch, output.Device);

    public void AttendOnDevice(Operand queries, Cache cache, AttentionParams attention, ForwardBatch batch, InputRows output) =>
        Device.Attend(queries.Device, cache.Device, attention, batch, output);

    public void DecideOnDevice(Operand logits, DecisionBatch decision) => Device.Decide(logits.Device, decision);

    public void MoveSlots(Cache cache, ReadOnlySpan<int> from, int to)
    {
        Reference.MoveSlots([cache.Host], from, to);
        Device.MoveSlots([cache.Device], from, to);
    }

    public void CopySlots(Cache source, Cache target, int count)
    {
        Reference.CopySlots([source.Host], [target.Host], count);
        Device.CopySlots([source.Device], [target.Device], count);
    }

    /// <summary>LayerNorm into inputs of a product.</summary>
    public void NormOnDevice(Operand x, Norm norm, InputRows output) => Device.Normalize(x.Device, norm, output);

    /// <summary>A product of inputs that stand, or are normed on the way in.</summary>
    public void MultiplyOnDevice(Weights weights, ProductSource x, Operand y, bool add = false)
    {
        if (add)
        {
            Device.MultiplyAdd(x, new Projection(weights.Device), y.Device);
        }
        else
        {
            Device.Multiply(x, new Projection(weights.Device), y.Device);
        }
    }

    public void GatedOnDevice(Weights gate, Weights up, ProductSource x, InputRows y) =>
        Device.MultiplyGated(x, new Projection(gate.Device), new Projection(up.Device), Activation.Silu, y);

    /// <summary>A product that stores keys and values of what comes of it.</summary>
    public void MultiplyStoreOnDevice(Weights weights, ProductSource x, Operand qkv, int heads, Cache cache, ForwardBatch batch) =>
        Device.MultiplyStore(x, new Projection(weights.Device), qkv.Device, heads, default, cache.Device, batch);

    /// <summary>The device's side of a LayerNorm.</summary>
    public static Norm LayerNorm(Operand weight, Operand bias) => new(NormKind.LayerNorm, weight.Device, bias.Device, 1e-5f);

    /// <summary>Inputs of a product on the device, in a type.</summary>
    public ProductInput Inputs(DType type, int rows, int columns)
    {
        ProductInput inputs = Device.CreateInput(rows, columns, [DenseFormat.Of(type)]);
        _inputs.Add(inputs);
        return inputs;
    }

    /// <summary>The host's side as such inputs.</summary>
    public InputRows Inputs(DType type, Operand x)
    {
        ProductInput inputs = Inputs(type, x.Host.Rows, x.Host.Columns);
        for (int row = 0; row < x.Host.Rows; row++)
        {
            Device.Write(x.Host.Floats(row), inputs.Rows(row, 1));
        }

        return inputs.Rows(0, x.Host.Rows);
    }

    /// <summary>Inputs as F32 on the host.</summary>
    public float[][] Download(InputRows rows) => [.. Enumerable.Range(0, rows.Count).Select(row =>
    {
        float[] values = new float[rows.Columns];
        Device.Read(rows.Range(row, 1), values);
        return values;
    })];

    public void Embed(Weights table, Weights? positions, ForwardBatch batch, Operand output)
    {
        Reference.Embed(table.Host, positions?.Host, batch, output.Host);
        Device.Embed(table.Device, positions?.Device, batch, output.Device);
    }

    public void Store(Operand qkv, int heads, RotaryParams hostRotary, RotaryParams deviceRotary, Cache cache, ForwardBatch batch)
    {
        Reference.StoreKeysValues(qkv.Host, heads, hostRotary, cache.Host, batch);
        Device.StoreKeysValues(qkv.Device, heads, deviceRotary, cache.Device, batch);
    }

    public void Attend(Operand queries, Cache cache, AttentionParams attention, ForwardBatch batch, Operand output)
    {
        Reference.Attend(queries.Host, cache.Host, attention, batch, output.Host);
        Device.Attend(queries.Device, cache.Device, attention, batch, output.Device);
    }

    /// <summary>The number of another type that is nearest, ties to even.</summary>
    public static float Round(DType type, float x) => type switch
    {
        DType.F32 => x,
        DType.F16 => Scalar.FromFloat16(Scalar.ToFloat16(x)),
        _ => Scalar.FromBFloat16(Scalar.ToBFloat16(x)),
    };

    /// <summary>Largest difference between the two sides, relative to the reference's largest value; infinite where one is NaN.</summary>
    public double Difference(Operand y)
    {
        float[][] actual = Download(y);
        double difference = 0;
        double largest = 1e-30;
        for (int row = 0; row < actual.Length; row++)
        {
            ReadOnlySpan<float> expected = y.Host.Floats(row);
            for (int i = 0; i < expected.Length; i++)
            {
                double error = Math.Abs((double)actual[row][i] - expected[i]);
                difference = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(difference, error);
                largest = Math.Max(largest, Math.Abs(expected[i]));
            }
        }

        return difference / largest;
    }

    public static bool SameBits(ReadOnlySpan<float> a, ReadOnlySpan<float> b) =>
        MemoryMarshal.Cast<float, uint>(a).SequenceEqual(MemoryMarshal.Cast<float, uint>(b));

    /// <summary>The first row whose bits differ; -1: none.</summary>
    public static int FirstOther(ReadOnlySpan<float[]> expected, ReadOnlySpan<float[]> actual)
    {
        for (int row = 0; row < actual.Length; row++)
        {
            if (!SameBits(expected[row], actual[row]))
            {
                return row;
            }
        }

        return -1;
    }

    /// <summary>The reference's side, rounded to another type, on both.</summary>
    public Operand Rounded(Operand x, DType type)
    {
        Operand rounded = Room(x.Host.Rows, x.Host.Columns);
        for (int row = 0; row < x.Host.Rows; row++)
        {
            ReadOnlySpan<float> from = x.Host.Floats(row);
            Span<float> to = rounded.Host.Floats(row);
            for (int i = 0; i < to.Length; i++)
            {
                to[i] = Round(type, from[i]);
            }
        }

        Upload(rounded);
        return rounded;
    }

    /// <summary>Rows of a plain sequence.</summary>
    public static void Fill(ForwardBatch batch, int first, int rows)
    {
        batch.Clear();
        for (int row = 0; row < rows; row++)
        {
            batch.Add(row, first + row);
        }
    }

    public void Dispose()
    {
        foreach (MemoryBlock block in _blocks)
        {
            block.Dispose();
        }

        _inputs.ForEach(inputs => inputs.Dispose());
        Reference.Dispose();
    }

    private static Epilogue Epilogue(Tensor? bias, bool gelu, bool add) =>
        new(bias ?? default, gelu ? Activation.GeluTanh : Activation.None, add);

    private static ReadOnlySpan<float> All(Tensor host) => new((float*)host.Data, checked(host.Rows * host.Stride));
}
