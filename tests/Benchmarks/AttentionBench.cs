using System.Diagnostics;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Benchmarks;

/// <summary>
/// What attention over long texts costs by the type of keys and values, in one run; with enough layers to read from memory.
/// </summary>
internal static class AttentionBench
{
    private const int Layers = 6;
    private const int Repeats = 51;

    private static readonly CacheType[] _types = [CacheType.BF16, CacheType.Q8];

    /// <summary>Heads, key-value heads, head size.</summary>
    private static readonly (int Heads, int KvHeads, int HeadDim)[] _shapes = [(9, 3, 64), (16, 8, 128)];

    public static void Run(string? set, int threads)
    {
        threads = threads == 0 ? Environment.ProcessorCount : threads;
        using IKernels kernels = KernelCatalog.Create(set, threads);
        Console.WriteLine($"{kernels.Name}, {threads} threads, {Layers} layers; us a layer, median of {Repeats} (least, quartiles)");
        foreach ((int heads, int kvHeads, int headDim) in _shapes)
        {
            foreach (int length in (int[])[4096, 16384])
            {
                Measure(kernels, heads, kvHeads, headDim, length);
            }
        }
    }

    private static void Measure(IKernels kernels, int heads, int kvHeads, int headDim, int length)
    {
        const int MostRows = 8;
        const int Stored = 256;
        int columns = (heads + (2 * kvHeads)) * headDim;
        using MemoryBlock room = kernels.Allocate((long)Stored * columns * sizeof(float));
        Tensor rows = room.View(DType.F32, Stored, columns, columns);
        using Caches caches = new(kernels, rows, heads, new KvShape(kvHeads, headDim), length);
        ProductInput output = kernels.CreateInput(MostRows, heads * headDim, [DenseFormat.BF16]);
        AttentionParams attention = new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), 0);
        foreach (int count in (int[])[1, MostRows])
        {
            ForwardBatch batch = new(MostRows, 1);
            for (int row = 0; row < count; row++)
            {
                batch.Add(0, length - 1 - row, length - 1 - row, []);
            }

            Tensor queries = rows.RowRange(0, count).ColumnRange(0, heads * headDim);
            double[][] seconds = [.. _types.Select(_ => new double[Repeats])];
            for (int repeat = -3; repeat < Repeats; repeat++)
            {
                for (int type = 0; type < _types.Length; type++)
                {
                    long start = Stopwatch.GetTimestamp();
                    foreach (KvLayer layer in caches.OfTypes[type])
                    {
                        kernels.Attend(queries, layer, attention, batch, output.Rows(0, count));
                    }

                    seconds[type][Math.Max(0, repeat)] = Stopwatch.GetElapsedTime(start).TotalSeconds / Layers;
                }
            }

            double plain = 0;
            for (int type = 0; type < _types.Length; type++)
            {
                Array.Sort(seconds[type]);
                double median = seconds[type][Repeats / 2];
                plain = type == 0 ? median : plain;
                double bytes = 2.0 * new KvShape(kvHeads, headDim).Bytes(_types[type], length);
                Console.WriteLine(
                    $"{heads}/{kvHeads} heads of {headDim}, {length,5} positions, {count} rows, {_types[type].Name(),-4}: " +
                    $"{median * 1e6,8:F0} ({seconds[type][0] * 1e6:F0}, " +
                    $"{seconds[type][Repeats / 4] * 1e6:F0} .. {seconds[type][3 * Repeats / 4] * 1e6:F0}), " +
                    $"{median / plain:F2} of bf16, {bytes / median / 1e9:F1} GB/s");
            }
        }
    }

    /// <summary>The same random keys and values in every type.</summary>
    private sealed class Caches : IDisposable
    {
        private readonly List<MemoryBlock> _blocks = [];

        /// <param name="rows">Room for rows on their way into the caches.</param>
        public Caches(IKernels kernels, Tensor rows, int heads, KvShape shape, int length)
        {
            foreach (CacheType type in _types)
            {
                var layers = new KvLayer[Layers];
                _blocks.Add(kernels.AllocateCache(layers, [.. Enumerable.Repeat(shape, Layers)], type, length));
                OfTypes.Add(layers);
            }

            var random = new Random(1);
            var batch = new ForwardBatch(rows.Rows, 1);
            for (int first = 0; first < length; first += rows.Rows)
            {
                batch.Clear();
                for (int row = 0; row < rows.Rows; row++)
                {
                    batch.Add(0, first + row);
                    foreach (ref float value in rows.Floats(row))
                    {
                        value = random.NextSingle() - 0.5f;
                    }
                }

                foreach (KvLayer layer in OfTypes.SelectMany(type => type))
                {
                    kernels.StoreKeysValues(rows, heads, default, layer, batch);
                }
            }
        }

        /// <summary>Of each type.</summary>
        public List<KvLayer[]> OfTypes { get; } = [];

        public void Dispose() => _blocks.ForEach(block => block.Dispose());
    }
}
