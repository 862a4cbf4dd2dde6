using System.Diagnostics;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Benchmarks;

/// <summary>
/// What the recurrence of a gated DeltaNet layer costs beside the products of its layer, by rows: one that decodes, or a root and a tree
/// behind it. Over layers enough to read weights and states from memory.
/// </summary>
internal sealed class RecurrentBench : IDisposable
{
    private const int Repeats = 41;
    private const int MaxRows = 16;
    private const int Kept = 64;

    private static readonly (string Name, int Hidden, int Width, int Layers, RecurrentShape Shape)[] _models =
    [
        ("0.8B", 1024, 3584, 12, new RecurrentShape(16, 16, 128, 128, 4, Tiled: true)),
        ("9B", 4096, 12288, 2, new RecurrentShape(16, 32, 128, 128, 4, Tiled: true)),
    ];

    private readonly IKernels _kernels;
    private readonly List<MemoryBlock> _blocks = [];
    private readonly List<ProductInput> _inputs = [];
    private readonly RecurrentShape _shape;
    private readonly Layer[] _layers;
    private readonly RecurrentParams _others;
    private readonly RecurrentWalk _walk = new(MaxRows, Kept, 4);
    private readonly ForwardBatch _batch = new(MaxRows, MaxRows);
    private readonly Tensor _x;
    private readonly Tensor _projected;
    private readonly ProductInput _normed;
    private readonly ProductInput _mixed;
    private readonly ProductInput _hidden;
    private int _applied;

    private RecurrentBench(IKernels kernels, int hidden, int width, int layers, RecurrentShape shape)
    {
        _kernels = kernels;
        _shape = shape;
        _x = Floats(MaxRows, hidden);
        _projected = Floats(MaxRows, shape.InputSize);
        (_normed, _mixed, _hidden) = (Input(hidden), Input(shape.ValueSize), Input(width));
        _others = new RecurrentParams(
            Floats(shape.Taps, shape.Channels), Floats(1, shape.ValueHeads), Floats(1, shape.ValueHeads, -0.1f),
            new Norm(NormKind.RmsNorm, Floats(1, shape.ValueDim, 1), default, 1e-6f));
        _layers = [.. Enumerable.Range(0, layers).Select(_ => new Layer(
            Matrix(shape.InputSize, hidden), Matrix(hidden, shape.ValueSize), Matrix(width, hidden), Matrix(width, hidden),
            Matrix(hidden, width),
            new RecurrentLayer(shape, Floats(1, shape.StateSize, 0).Data, Floats(Kept, shape.RowSize, 0.1f).Data)))];
    }

    public static void Run(string? set, int threads)
    {
        threads = threads == 0 ? Environment.ProcessorCount : threads;
        using IKernels kernels = KernelCatalog.Create(set, threads);
        Console.WriteLine($"{kernels.Name}, {threads} threads, bf16; us a layer, median of {Repeats}");
        foreach (var (name, hidden, width, layers, shape) in _models)
        {
            using var bench = new RecurrentBench(kernels, hidden, width, layers, shape);
            foreach (int rows in (int[])[1, 2, 4, 8, 16])
            {
                (double products, double recurrence) = bench.Measure(rows);
                Console.WriteLine($"{name,4}, {rows,2} rows: products {products * 1e6,7:F0}, recurrence {recurrence * 1e6,6:F0}, both "
                    + $"{(products + recurrence) / products:F3} of products");
            }
        }
    }

    public void Dispose()
    {
        _inputs.ForEach(input => input.Dispose());
        _blocks.ForEach(block => block.Dispose());
    }

    /// <summary>Seconds of a layer: its products, and what lies between them.</summary>
    private (double Products, double Recurrence) Measure(int rows)
    {
        double[] products = new double[Repeats];
        double[] recurrence = new double[Repeats];
        for (int repeat = -3; repeat < Repeats; repeat++)
        {
            _batch.Clear();
            _batch.Add(0, _applied);
            for (int node = 1; node < rows; node++)
            {
                var path = new List<int>();
                for (int above = node / 2; above > 0; above /= 2)
                {
                    path.Insert(0, _applied + above);
                }

                _batch.Add(0, _applied + node, _applied + 1, [.. path]);
            }

            _applied = _walk.Plan(_batch, _applied, 1, Kept);
            long inside = 0;
            long start = Stopwatch.GetTimestamp();
            foreach (Layer layer in _layers)
            {
                InputRows normed = _normed.Rows(0, rows);
                InputRows mixed = _mixed.Rows(0, rows);
                InputRows hidden = _hidden.Rows(0, rows);
                Tensor x = _x.RowRange(0, rows);
                Tensor projected = _projected.RowRange(0, rows);
                _kernels.Take(x, normed);
                _kernels.Multiply(normed, layer.Inputs, projected);
                long before = Stopwatch.GetTimestamp();
                _kernels.Recur(projected, _others, layer.Recurrent, _walk, 0, mixed);
                inside += Stopwatch.GetTimestamp() - before;
                _kernels.MultiplyAdd(mixed, layer.Output, x, 0);
                _kernels.MultiplyGated(normed, layer.Gate, layer.Up, Activation.Silu, hidden);
                _kernels.MultiplyAdd(hidden, layer.Down, x, 0);
            }

            double all = Stopwatch.GetElapsedTime(start).TotalSeconds / _layers.Length;
            recurrence[Math.Max(0, repeat)] = (double)inside / Stopwatch.Frequency / _layers.Length;
            products[Math.Max(0, repeat)] = all - recurrence[Math.Max(0, repeat)];
        }

        Array.Sort(products);
        Array.Sort(recurrence);
        return (products[Repeats / 2], recurrence[Repeats / 2]);
    }

    private Tensor Floats(int rows, int columns, float value = 0.01f)
    {
        int stride = (columns + 15) / 16 * 16;
        MemoryBlock block = _kernels.Allocate((long)rows * stride * sizeof(float));
        _blocks.Add(block);
        Tensor tensor = block.View(DType.F32, rows, columns, stride);
        for (int row = 0; row < rows; row++)
        {
            tensor.Floats(row).Fill(value);
        }

        return tensor;
    }

    private ProductInput Input(int columns)
    {
        ProductInput input = _kernels.CreateInput(MaxRows, columns, [DenseFormat.BF16]);
        _inputs.Add(input);
        return input;
    }

    private sealed record Layer(
        Projection Inputs, Projection Output, Projection Gate, Projection Up, Projection Down, RecurrentLayer Recurrent);

    /// <summary>Weights of 0.01, in the layout of these kernels or any other: they are all alike.</summary>
    private unsafe Projection Matrix(int outputs, int inputs)
    {
        WeightMatrix matrix = _kernels.Describe(DenseFormat.BF16, outputs, inputs);
        MemoryBlock block = _kernels.Allocate(matrix.Bytes);
        _blocks.Add(block);
        new Span<ushort>((void*)block.Address, (int)(matrix.Bytes / 2)).Fill(0x3C24);
        matrix.Place(block, 0);
        return new Projection(matrix);
    }
}
