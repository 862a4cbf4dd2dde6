using System.Diagnostics;
using Understory.Models.Architecture;
using Understory.Models.Architecture.Families;
using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Benchmarks;

/// <summary>
/// Passes of a mixture of experts of real shape, Qwen3-30B-A3B cut to four layers, random weights in Q4_K: milliseconds by rows, and the
/// share of the read loop by the bytes of the experts that are touched.
/// </summary>
internal static class ExpertBench
{
    private const int Rounds = 40;
    private const int Context = 1024;

    public static void Run(string? set, int threads)
    {
        using IKernels kernels = KernelCatalog.Create(set, threads);
        ModelConfig config = Config();
        using var source = new RandomBlocks();
        var weights = Weights.Load(config, source, config.Family.HuggingFaceNames, kernels);
        using var model = new Transformer(config, weights, kernels, CacheType.BF16);
        using KvCache cache = model.CreateCache(Context);
        Console.WriteLine($"{kernels.Name}: {weights.Bytes / 1e9:F2} GB held, {model.WeightBytes / 1e6:F0} MB a row");
        int[] widths = [1, 2, 4, 8, 16, 32];
        var seconds = widths.ToDictionary(rows => rows, _ => new List<double>());
        var loop = new List<double>();
        var random = new Random(1);
        var batch = new ForwardBatch(64, 2);
        // Memory swings by the minute: the read loop is measured in between.
        for (int round = 0; round < Rounds; round++)
        {
            foreach (int rows in widths)
            {
                batch.Clear();
                int first = random.Next(64);
                for (int row = 0; row < rows; row++)
                {
                    batch.Add(random.Next(config.VocabularySize), first + row);
                }

                long start = Stopwatch.GetTimestamp();
                model.Forward(batch, cache);
                double taken = Stopwatch.GetElapsedTime(start).TotalSeconds;
                if (round >= 2)
                {
                    seconds[rows].Add(taken);
                }
            }

            if (round % 8 == 0)
            {
                loop.Add(kernels.MeasureBandwidth(512 << 20));
            }
        }

        double bandwidth = Median(loop);
        Console.WriteLine($"read loop: {bandwidth / 1e9:F1} GB/s");
        foreach (int rows in widths)
        {
            double middle = Median(seconds[rows]);
            double bytes = model.ExpectedBytes(rows);
            Console.WriteLine(
                $"{rows,3} rows {middle * 1e3,8:F2} ms ({middle / Median(seconds[1]):F2} of one row; "
                + $"bytes {bytes / model.ExpectedBytes(1):F2}), {bytes / middle / 1e9,6:F1} GB/s, "
                + $"{bytes / middle / bandwidth:P0} of the read loop");
        }
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static ModelConfig Config()
    {
        var layer = new LayerPlan(
            new AttentionPlan { Heads = 32, KvHeads = 4, HeadDim = 128, Rotary = 0, QkNorm = QkNorm.Heads },
            new MlpPlan(0, Activation.Silu, Gated: true) { Experts = new ExpertsPlan(128, 8, 768, new GatedUnit(Activation.Silu)) });
        return new Qwen3Moe().OfShape(2048, 4, 151936, Context) with
        {
            Rotaries = [new Rotary(128, 1e6, RotaryScaling.None)],
            Layers = [.. Enumerable.Repeat(layer, 4)],
            TiedHead = false,
        };
    }

    /// <summary>A model that exists nowhere, whose matrices are random blocks of Q4_K, but for the router, which is BF16.</summary>
    private sealed unsafe class RandomBlocks : ITensorSource
    {
        private const int ScaleBytes = 4;

        private readonly RandomTensors _plain = new(7);
        private readonly Dictionary<nint, NativeMemoryBlock> _blocks = [];

        public IEnumerable<string> Names => [];

        public bool Contains(string name) => true;

        public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape) =>
            IsPlain(name, shape) ? _plain.FormatOf(name, shape) : BlockFormat<Q4_K>.Instance;

        public StoredTensor Read(string name, params ReadOnlySpan<int> shape)
        {
            if (IsPlain(name, shape))
            {
                return _plain.Read(name, shape);
            }

            WeightFormat format = BlockFormat<Q4_K>.Instance;
            long bytes = format.Bytes((long)shape[0] * shape[1]);
            var block = new NativeMemoryBlock(bytes);
            var all = new Span<byte>((void*)block.Address, checked((int)bytes));
            new Random(name.Length + shape[0]).NextBytes(all);
            // Codes about 7.5, scales and mins about 31: a mean of 0 and a deviation of 0.02 or so.
            const float d = 0.02f / (31 * 4.6f);
            for (int at = 0; at < all.Length; at += format.BlockBytes)
            {
                BitConverter.TryWriteBytes(all[at..], (Half)d);
                BitConverter.TryWriteBytes(all[(at + (ScaleBytes / 2))..], (Half)(7.5f * d));
            }

            _blocks.Add(block.Address, block);
            return new StoredTensor(format, shape[0], shape[1], block.Address);
        }

        public void Release(StoredTensor tensor)
        {
            if (_blocks.Remove(tensor.Data, out NativeMemoryBlock? block))
            {
                block.Dispose();
            }
            else
            {
                _plain.Release(tensor);
            }
        }

        public void Dispose()
        {
            foreach (NativeMemoryBlock block in _blocks.Values)
            {
                block.Dispose();
            }

            _plain.Dispose();
        }

        private static bool IsPlain(string name, ReadOnlySpan<int> shape) =>
            shape.Length == 1 || name.EndsWith("mlp.gate.weight", StringComparison.Ordinal);
    }
}
