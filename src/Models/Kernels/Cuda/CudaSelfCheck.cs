using System.Globalization;
using Understory.Models.Kernels.Cpu;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// A small product, attention over a tree and the decision rule, compared with the CPU's reference before a device is trusted with a
/// model: a driver that compiles the kernels wrongly must not show in texts.
/// </summary>
internal static class CudaSelfCheck
{
    private const int Rows = 19;
    private const int Inputs = 160;
    private const int Outputs = 72;
    private const int Heads = 4;
    private const int KvHeads = 2;
    private const int HeadDim = 64;
    private const int Vocabulary = 1500;

    /// <summary>What differs; null where nothing does.</summary>
    public static string? Run(CudaKernels kernels)
    {
        using var reference = new ReferenceKernels();
        foreach (DType type in (DType[])[DType.BF16, DType.F16, DType.F32])
        {
            if (Product(kernels, reference, type) is { } product)
            {
                return product;
            }
        }

        return Attention(kernels, reference) ?? Decision(kernels, reference);
    }

    private static string? Product(CudaKernels kernels, ReferenceKernels reference, DType type)
    {
        using var host = new NativeMemoryBlock(1 << 18);
        using MemoryBlock device = kernels.Allocate(1 << 18, sparse: false);
        Tensor rows = Fill(host.View(type, Outputs, Inputs, Inputs), 1);
        Tensor x = Fill(host.View(DType.F32, Rows, Inputs, Inputs, 1 << 17), 2);
        // What the device rounds is rounded for the reference too.
        for (int row = 0; row < Rows; row++)
        {
            Span<float> values = x.Floats(row);
            for (int i = 0; i < Inputs && type != DType.F32; i++)
            {
                values[i] = type == DType.BF16
                    ? Scalar.FromBFloat16(Scalar.ToBFloat16(values[i])) : Scalar.FromFloat16(Scalar.ToFloat16(values[i]));
            }
        }

        Tensor expected = host.View(DType.F32, Rows, Outputs, 80, (1 << 17) + (1 << 15));
        Multiply(reference, rows, x, expected);
        Tensor actual = device.View(DType.F32, Rows, Outputs, 80);
        Multiply(kernels, rows, x, actual);
        return Compare(kernels, $"the {type} product", actual, expected, 1e-4);
    }

    private static void Multiply(IKernels kernels, Tensor rows, Tensor x, Tensor y)
    {
        var format = DenseFormat.Of(rows.Type);
        WeightMatrix weights = kernels.Describe(format, Outputs, Inputs);
        using MemoryBlock packed = kernels.Allocate(weights.Bytes);
        weights.Place(packed, 0);
        kernels.Pack(weights, new MatrixPart(new StoredTensor(format, Outputs, Inputs, rows.Data)));
        using ProductInput input = kernels.CreateInput(Rows, Inputs, [format]);
        for (int row = 0; row < Rows; row++)
        {
            kernels.Write(x.Floats(row), input.Rows(row, 1));
        }

        kernels.Multiply(input.Rows(0, Rows), new Projection(weights), y);
        kernels.Finish();
    }

    private static string? Attention(CudaKernels kernels, ReferenceKernels reference)
    {
        const int Prefix = 40;
        const int Columns = (Heads + (2 * KvHeads)) * HeadDim;
        const int Slots = 64;
        using var host = new NativeMemoryBlock(1 << 20);
        using MemoryBlock device = kernels.Allocate(1 << 20, sparse: false);
        var hostLayers = new KvLayer[1];
        var deviceLayers = new KvLayer[1];
        using MemoryBlock hostCache = reference.AllocateCache(hostLayers, [new KvShape(KvHeads, HeadDim)], CacheType.BF16, Slots);
        using MemoryBlock deviceCache = kernels.AllocateCache(deviceLayers, [new KvShape(KvHeads, HeadDim)], CacheType.BF16, Slots);
        deviceCache.Reach(deviceCache.Bytes);
        var batch = new ForwardBatch(Prefix, 4);
        for (int i = 0; i < Prefix; i++)
        {
            batch.Add(0, i);
        }

        Both(3);
        batch.Clear();
        batch.Add(0, 40, Prefix, []);
        batch.Add(0, 45, Prefix, [40]);
        batch.Add(0, 43, Prefix, [40, 45]);
        batch.Add(0, 44, Prefix, []);
        (Tensor queries, Tensor deviceQueries) = Both(4);
        var attention = new AttentionParams(Heads, KvHeads, HeadDim, 0.125f, 0);
        using ProductInput expected = reference.CreateInput(batch.Count, Heads * HeadDim, []);
        using ProductInput actual = kernels.CreateInput(batch.Count, Heads * HeadDim, []);
        reference.Attend(queries.ColumnRange(0, Heads * HeadDim), hostLayers[0], attention, batch, expected.Rows(0, batch.Count));
        kernels.Attend(deviceQueries.ColumnRange(0, Heads * HeadDim), deviceLayers[0], attention, batch, actual.Rows(0, batch.Count));
        return Compare(kernels, "attention", CudaInput.ValuesOf(actual.Rows(0, batch.Count)), CpuInput.Read(expected.Rows(0, batch.Count)),
            1e-4);

        (Tensor Host, Tensor Device) Both(uint seed)
        {
            Tensor qkv = Fill(host.View(DType.F32, batch.Count, Columns, Columns), seed);
            Tensor onDevice = device.View(DType.F32, batch.Count, Columns, Columns);
            Upload(kernels, qkv, onDevice);
            reference.StoreKeysValues(qkv, Heads, default, hostLayers[0], batch);
            kernels.StoreKeysValues(onDevice, Heads, default, deviceLayers[0], batch);
            return (qkv, onDevice);
        }
    }

    private static string? Decision(CudaKernels kernels, ReferenceKernels reference)
    {
        const int Best = 3;
        using var host = new NativeMemoryBlock(1 << 16);
        using MemoryBlock device = kernels.Allocate(1 << 16, sparse: false);
        Tensor logits = Fill(host.View(DType.F32, 2, Vocabulary, 1504), 5);
        Tensor onDevice = device.View(DType.F32, 2, Vocabulary, 1504);
        Upload(kernels, logits, onDevice);
        foreach (DecisionParams rule in (DecisionParams[])
            [DecisionParams.Greedy, DecisionParams.Greedy with { Temperature = 0.7f, Seed = 7 },
                DecisionParams.Greedy with { Temperature = 1, TopK = 40, TopP = 0.9f, Seed = 8 }])
        {
            var expected = new DecisionBatch(2, Best, 1) { Params = rule, Rows = 2, Best = Best };
            var actual = new DecisionBatch(2, Best, 1) { Params = rule, Rows = 2, Best = Best };
            reference.Decide(logits, expected);
            kernels.Decide(onDevice, actual);
            if (!expected.Tokens.AsSpan().SequenceEqual(actual.Tokens))
            {
                return $"the decision rule at temperature {rule.Temperature.ToString(CultureInfo.InvariantCulture)} chose tokens "
                    + $"{string.Join(", ", actual.Tokens)}, not {string.Join(", ", expected.Tokens)}";
            }
        }

        return null;
    }

    private static void Upload(CudaKernels kernels, Tensor host, Tensor device)
    {
        for (int row = 0; row < host.Rows; row++)
        {
            kernels.Write(host.Floats(row), device.RowRange(row, 1).Data);
        }
    }

    private static string? Compare(CudaKernels kernels, string what, Tensor actual, Tensor expected, double tolerance)
    {
        float[] values = new float[expected.Columns];
        for (int row = 0; row < expected.Rows; row++)
        {
            kernels.Read(actual.RowRange(row, 1).Data, values);
            for (int i = 0; i < values.Length; i++)
            {
                float wanted = expected.Floats(row)[i];
                if (!(Math.Abs(values[i] - wanted) <= tolerance * (1 + Math.Abs(wanted))))
                {
                    return string.Create(CultureInfo.InvariantCulture,
                        $"{what} gave {values[i]} where the CPU gives {wanted} (row {row}, column {i})");
                }
            }
        }

        return null;
    }

    /// <summary>Numbers between -1 and 1 that depend on the seed alone.</summary>
    private static Tensor Fill(Tensor tensor, uint seed)
    {
        for (int row = 0; row < tensor.Rows; row++)
        {
            for (int i = 0; i < tensor.Columns; i++)
            {
                uint random = GumbelNoise.Philox(seed, (uint)row, (uint)i, 0).X0;
                Scalar.Write(tensor.Type, tensor.Data, ((long)row * tensor.Stride) + i, (random / 2147483648f) - 1);
            }
        }

        return tensor;
    }
}
