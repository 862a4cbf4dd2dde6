using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;

namespace Understory.Gpu;

/// <summary>A result that is not what it must be.</summary>
internal sealed class CheckFailedException(string message) : Exception(message);

/// <summary>Is it right: against double precision on the processor, and against itself at other widths.</summary>
internal static unsafe class Checks
{
    private static readonly int[] Widths = [1, 2, 7, 8, 9, 16, 17, 24, 32, 33, 48, 64, 65, 128, 256, 512, 1024];

    /// <summary>Products of the shapes of real models, some outputs of some rows by double precision; every width the bits of the widest.</summary>
    public static JsonObject Products(CudaKernels kernels)
    {
        var found = new JsonObject();
        foreach (DType type in (DType[])[DType.BF16, DType.F16])
        {
            foreach ((int outputs, int inputs) in (ReadOnlySpan<(int, int)>)[(3840, 1280), (1280, 5120), (5120, 1280), (4096, 14336), (50257, 1280), (640, 640), (77, 2048)])
            {
                found[$"{type} {outputs}x{inputs}"] = Product(kernels, type, outputs, inputs);
            }
        }

        return found;
    }

    /// <summary>Logits of the demo's target: the device against the processor.</summary>
    public static JsonObject Logits(CudaKernels kernels, string models)
    {
        var found = new JsonObject();
        using IKernels processor = KernelCatalog.Create(KernelCatalog.Available[0].Name);
        foreach (string name in (string[])["target", "draft"])
        {
            string path = Path.Combine(models, name);
            using Transformer expected = ModelLoader.LoadTransformer(path, processor, new LoadOptions());
            using Transformer actual = ModelLoader.LoadTransformer(path, kernels, new LoadOptions());
            int[] tokens = Tokens(expected.Config.VocabularySize, 200);
            double error = RelativeError(Run(actual, tokens, 64), Run(expected, tokens, 64));
            found[name] = error;
            if (!(error < 0.05))
            {
                throw new CheckFailedException($"{name}: max |a - b| / max |b| of the logits is {error:E2}");
            }
        }

        return found;
    }

    /// <summary>The bits of a row's logits at every width, decoded or prefilled, with graphs.</summary>
    public static JsonObject BatchInvariance(CudaKernels kernels)
    {
        var found = new JsonObject();
        foreach (string shape in (string[])["gpt2:1280x4:5003:1100", "llama:1024x4:5003:1100", "gpt2:192x4:1000:1100"])
        {
            using Transformer model = ModelLoader.Random(shape, kernels, 3);
            int[] tokens = Tokens(model.Config.VocabularySize, 1100);
            float[][] expected = Run(model, tokens, 256);
            foreach (int width in Widths)
            {
                float[][] actual = Run(model, tokens, width);
                for (int row = 0; row < tokens.Length; row++)
                {
                    if (!SameBits(expected[row], actual[row]))
                    {
                        throw new CheckFailedException($"{shape}: the logits of position {row} differ between passes of 256 and of {width} rows");
                    }
                }
            }

            found[shape] = "the same bits at 1 to 1024 rows";
        }

        return found;
    }

    internal static int[] Tokens(int vocabulary, int count)
    {
        var random = new Random(5);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }

    private static float[][] Run(Transformer model, int[] tokens, int width)
    {
        using KvCache cache = model.CreateCache(tokens.Length + width);
        var batch = new ForwardBatch(model.MaxRows, 1);
        float[][] logits = new float[tokens.Length][];
        for (int first = 0; first < tokens.Length; first += width)
        {
            batch.Clear();
            for (int i = first; i < Math.Min(first + width, tokens.Length); i++)
            {
                batch.Add(tokens[i], i);
            }

            Tensor rows = model.Forward(batch, cache);
            for (int row = 0; row < rows.Rows; row++)
            {
                logits[first + row] = new float[rows.Columns];
                model.Kernels.Read(rows.RowRange(row, 1).Data, logits[first + row]);
            }
        }

        return logits;
    }

    private static double Product(CudaKernels kernels, DType type, int outputs, int inputs)
    {
        const int Rows = 1024;
        var random = new Random(outputs + inputs);
        using var host = new NativeMemoryBlock((long)outputs * inputs * 2);
        Tensor raw = host.View(type, outputs, inputs, inputs);
        Fill(raw, random, 0.05f);
        using MemoryBlock packed = kernels.Allocate(kernels.Describe(DenseFormat.Of(type), outputs, inputs).Bytes, sparse: false);
        var weights = new Projection(Pack(kernels, raw, packed, 0));
        float[][] x = [.. Enumerable.Range(0, Rows).Select(_ => new float[inputs])];
        int stride = (outputs + 15) / 16 * 16;
        using ProductInput input = kernels.CreateInput(Rows, inputs, [DenseFormat.Of(type)]);
        using MemoryBlock output = kernels.Allocate((long)Rows * stride * sizeof(float), sparse: false);
        for (int row = 0; row < Rows; row++)
        {
            for (int i = 0; i < inputs; i++)
            {
                x[row][i] = Round(type, (random.NextSingle() * 4) - 2);
            }

            kernels.Write(x[row], input.Rows(row, 1));
        }

        Tensor y = output.View(DType.F32, Rows, outputs, stride);
        kernels.Multiply(input.Rows(0, Rows), weights, y);
        float[][] widest = Read(kernels, y);
        double error = 0;
        double largest = 0;
        for (int sample = 0; sample < 4000; sample++)
        {
            (int row, int o) = (random.Next(Rows), random.Next(outputs));
            double sum = 0;
            for (int i = 0; i < inputs; i++)
            {
                sum += (double)Get(raw, o, i) * x[row][i];
            }

            error = Math.Max(error, Math.Abs(sum - widest[row][o]));
            largest = Math.Max(largest, Math.Abs(sum));
        }

        if (!(error / largest < 1e-4))
        {
            throw new CheckFailedException($"{type} {outputs}x{inputs}: error {error / largest:E2} of the largest");
        }

        foreach (int width in Widths)
        {
            kernels.Multiply(input.Rows(0, width), weights, y.RowRange(0, width));
            float[][] actual = Read(kernels, y.RowRange(0, width));
            for (int row = 0; row < width; row++)
            {
                if (!SameBits(widest[row], actual[row]))
                {
                    throw new CheckFailedException($"{type} {outputs}x{inputs}: row {row} of {width} has other bits than of 1024");
                }
            }
        }

        return error / largest;
    }

    internal static WeightMatrix Pack(CudaKernels kernels, Tensor raw, MemoryBlock block, long offset)
    {
        var format = DenseFormat.Of(raw.Type);
        WeightMatrix matrix = kernels.Describe(format, raw.Rows, raw.Columns);
        matrix.Place(block, offset);
        kernels.Pack(matrix, new MatrixPart(new StoredTensor(format, raw.Rows, raw.Columns, raw.Data)));
        return matrix;
    }

    internal static void Fill(Tensor raw, Random random, float scale)
    {
        ushort* data = (ushort*)raw.Data;
        for (long i = 0; i < (long)raw.Rows * raw.Columns; i++)
        {
            float value = scale * ((random.NextSingle() * 2) - 1);
            data[i] = raw.Type == DType.F16 ? BitConverter.HalfToUInt16Bits((Half)value) : (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
        }
    }

    private static float Get(Tensor raw, int row, int column)
    {
        ushort bits = ((ushort*)raw.Data)[((long)row * raw.Stride) + column];
        return raw.Type == DType.F16 ? (float)BitConverter.UInt16BitsToHalf(bits) : BitConverter.UInt32BitsToSingle((uint)bits << 16);
    }

    private static float Round(DType type, float x) =>
        type == DType.F16 ? (float)(Half)x : BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(x) & 0xFFFF0000);

    private static float[][] Read(CudaKernels kernels, Tensor tensor)
    {
        float[][] rows = new float[tensor.Rows][];
        for (int row = 0; row < tensor.Rows; row++)
        {
            rows[row] = new float[tensor.Columns];
            kernels.Read(tensor.RowRange(row, 1).Data, rows[row]);
        }

        return rows;
    }

    private static bool SameBits(float[] a, float[] b) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<float, uint>(a.AsSpan()).SequenceEqual(System.Runtime.InteropServices.MemoryMarshal.Cast<float, uint>(b.AsSpan()));

    private static double RelativeError(float[][] actual, float[][] expected)
    {
        double difference = 0;
        double largest = 0;
        for (int row = 0; row < expected.Length; row++)
        {
            for (int i = 0; i < expected[row].Length; i++)
            {
                double error = Math.Abs(actual[row][i] - expected[row][i]);
                difference = double.IsNaN(error) ? double.PositiveInfinity : Math.Max(difference, error);
                largest = Math.Max(largest, Math.Abs(expected[row][i]));
            }
        }

        return difference / largest;
    }
}
