using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Gpu;

/// <summary>How fast: passes of random models of real shapes, beside the device's own copy bandwidth in the same run. Medians.</summary>
internal static class Figures
{
    private const int Repeats = 60;
    private const int WarmUps = 5;

    public static ModelConfig Gpt2Large { get; } = Gpt2(1280, 36, 20);

    /// <summary>About 38 million parameters, two thirds of them the embedding.</summary>
    public static ModelConfig Draft40M { get; } = Gpt2(512, 4, 8);

    public static ModelConfig Llama8B { get; } = new()
    {
        Family = "llama",
        VocabularySize = 128256,
        TrainedContext = 8192,
        ContextLength = 8192,
        HiddenSize = 4096,
        Layers = 32,
        Heads = 32,
        KvHeads = 8,
        HeadDim = 128,
        IntermediateSize = 14336,
        Norm = NormKind.RmsNorm,
        NormEpsilon = 1e-5f,
        Activation = Activation.Silu,
        GatedMlp = true,
        Rotary = new Rotary(128, 500000, RotaryScaling.None),
        TiedHead = false,
    };

    /// <summary>Single products, launched one by one over so many matrices that the L2 does not hold them: seconds on the device.</summary>
    public static void Products(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        foreach ((int outputs, int inputs) in (ReadOnlySpan<(int, int)>)
            [(3840, 1280), (1280, 1280), (5120, 1280), (1280, 5120), (50257, 1280), (6144, 4096), (4096, 14336)])
        {
            long bytes = kernels.PackedBytes(DType.BF16, outputs, inputs);
            int copies = (int)Math.Clamp((256L << 20) / bytes, 2, 40);
            using var host = new NativeMemoryBlock((long)outputs * inputs * 2);
            Tensor raw = host.View(DType.BF16, outputs, inputs, inputs);
            Fill(raw);
            using MemoryBlock packed = kernels.Allocate(bytes * copies, sparse: false);
            WeightMatrix[] matrices = [.. Enumerable.Range(0, copies).Select(i => kernels.Pack(raw, transposed: false, packed, i * bytes))];
            using MemoryBlock x = kernels.Allocate(1024L * inputs * 2, sparse: false);
            int stride = (outputs + 15) / 16 * 16;
            using MemoryBlock y = kernels.Allocate(1024L * stride * 4, sparse: false);
            var times = new JsonObject();
            foreach (int rows in (int[])[1, 8, 16, 32, 64, 256, 1024])
            {
                Tensor input = x.View(DType.BF16, rows, inputs, inputs);
                Tensor output = y.View(DType.F32, rows, outputs, stride);
                double seconds = double.MaxValue;
                for (int repeat = 0; repeat < 6; repeat++)
                {
                    seconds = Math.Min(seconds, OnDevice(kernels.Driver, () =>
                    {
                        foreach (WeightMatrix matrix in matrices)
                        {
                            kernels.MatMul(matrix, input, output, default);
                        }
                    }) / copies);
                }

                times[$"{rows}"] = new JsonObject
                {
                    ["us"] = seconds * 1e6,
                    ["weight_gb_per_s"] = bytes / seconds / 1e9,
                    ["tflops"] = 2.0 * outputs * inputs * rows / seconds / 1e12,
                };
            }

            run.Report($"{outputs}x{inputs}", times);
        }
    }

    /// <param name="prefill">Tokens of a prompt to time, in passes of the widest kind; 0: none.</param>
    public static void Passes(CheckRun run, ModelConfig config, int[] widths, int prefill = 0)
    {
        CudaKernels kernels = run.Open();
        double bandwidth = kernels.MeasureBandwidth(2L << 30);
        run.Report("copy_bytes_per_second", bandwidth);
        long loading = Stopwatch.GetTimestamp();
        using Transformer model = ModelLoader.Random(config, config.Family, kernels, 1);
        run.Report("load_seconds", Stopwatch.GetElapsedTime(loading).TotalSeconds);
        run.Report("weight_bytes_per_pass", model.WeightBytes);
        run.Report("floor_ms", model.WeightBytes / bandwidth * 1e3);
        using KvCache cache = model.CreateCache(Math.Min(config.ContextLength, 2304));
        const int Context = 128;
        var batch = new ForwardBatch(model.MaxRows, 1);
        Fill(batch, 0, Context, firstLogits: Context);
        model.Forward(batch, cache);
        double one = 0;
        var passes = new JsonObject();
        var summary = new StringBuilder();
        run.Report("passes", passes);
        foreach (int rows in widths)
        {
            Fill(batch, Context, rows, firstLogits: rows > 64 ? rows - 1 : 0);
            double wall = Median(() =>
            {
                long start = Stopwatch.GetTimestamp();
                model.Forward(batch, cache);
                kernels.Finish();
                return Stopwatch.GetElapsedTime(start).TotalSeconds;
            });
            double device = Median(() => OnDevice(kernels.Driver, () => model.Forward(batch, cache)));
            // The decision rule, on top of a pass.
            DecisionParams sampled = DecisionParams.Greedy with { Temperature = 1, Seed = 1 };
            var decision = new DecisionBatch(rows, 1, 1) { Rows = Math.Min(rows, batch.LogitsRows), Params = sampled };
            double decided = Median(() =>
            {
                long start = Stopwatch.GetTimestamp();
                kernels.Decide(model.Forward(batch, cache), decision);
                return Stopwatch.GetElapsedTime(start).TotalSeconds;
            });
            one = rows == 1 ? device : one;
            passes[$"{rows}"] = new JsonObject
            {
                ["wall_ms"] = wall * 1e3,
                ["device_ms"] = device * 1e3,
                ["with_decision_ms"] = decided * 1e3,
                ["of_bandwidth"] = model.WeightBytes / device / bandwidth,
                ["of_one_row"] = device / one,
            };
            double share = 100 * model.WeightBytes / device / bandwidth;
            summary.Append(CultureInfo.InvariantCulture, $"{(summary.Length > 0 ? ", " : "")}{rows}: {device * 1e3:F3} ms");
            summary.Append(CultureInfo.InvariantCulture, $" ({(rows == 1 ? $"{share:F0} % of copying" : $"{device / one:F2}x")})");
            run.Report("summary", summary.ToString());
        }

        if (prefill > 0)
        {
            double seconds = Median(
                () => OnDevice(kernels.Driver, () =>
                {
                    for (int first = 0; first < prefill; first += model.MaxRows)
                    {
                        int rows = Math.Min(model.MaxRows, prefill - first);
                        Fill(batch, first, rows, firstLogits: first + rows == prefill ? rows - 1 : rows);
                        model.Forward(batch, cache);
                    }
                }), repeats: 5);
            run.Report("prefill_tokens", prefill);
            run.Report("prefill_ms", seconds * 1e3);
            run.Report("prefill_tflops", model.WeightBytes * (double)prefill / seconds / 1e12);
            run.Report("summary", $"{summary}, prefill of {prefill}: {seconds * 1e3:F0} ms");
        }
    }

    /// <summary>Random weights: zeros would run faster than real ones.</summary>
    private static unsafe void Fill(Tensor raw)
    {
        var random = new Random(1);
        for (long i = 0; i < (long)raw.Rows * raw.Columns; i++)
        {
            Scalar.Write(raw.Type, raw.Data, i, 0.05f * ((random.NextSingle() * 2) - 1));
        }
    }

    private static void Fill(ForwardBatch batch, int first, int rows, int firstLogits)
    {
        batch.Clear();
        for (int row = 0; row < rows; row++)
        {
            batch.Add(row + 1, first + row);
        }

        batch.FirstLogitsRow = firstLogits;
    }

    private static double OnDevice(CudaDriver driver, Action work)
    {
        nint first = driver.CreateEvent();
        nint second = driver.CreateEvent();
        driver.Record(first);
        work();
        driver.Record(second);
        double seconds = driver.Seconds(first, second);
        driver.DestroyEvent(first);
        driver.DestroyEvent(second);
        return seconds;
    }

    private static double Median(Func<double> time, int repeats = Repeats)
    {
        for (int i = 0; i < Math.Min(WarmUps, repeats); i++)
        {
            time();
        }

        return Enumerable.Range(0, repeats).Select(_ => time()).Order().ElementAt(repeats / 2);
    }

    private static ModelConfig Gpt2(int hidden, int layers, int heads) => new()
    {
        Family = "gpt2",
        VocabularySize = 50257,
        TrainedContext = 1024,
        ContextLength = 1024,
        HiddenSize = hidden,
        Layers = layers,
        Heads = heads,
        KvHeads = heads,
        HeadDim = hidden / heads,
        IntermediateSize = 4 * hidden,
        Norm = NormKind.LayerNorm,
        NormEpsilon = 1e-5f,
        Activation = Activation.GeluTanh,
        GatedMlp = false,
        Rotary = null,
        QkvBias = true,
        OutputBias = true,
        MlpBias = true,
        TiedHead = true,
    };
}
