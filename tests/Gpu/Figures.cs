using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Architecture.Families;
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

    public static ModelConfig Gpt2Large { get; } = new Gpt2().OfShape(1280, 36, 50257, 1024);

    /// <summary>About 38 million parameters, two thirds of them the embedding.</summary>
    public static ModelConfig Draft40M { get; } = new Gpt2().OfShape(512, 4, 50257, 1024);

    public static ModelConfig Llama8B { get; } = new Llama().OfShape(4096, 32, 128256, 8192) with
    {
        Rotaries = [new Rotary(128, 500000, RotaryScaling.None)],
        Layers = ModelConfig.Plan(32, _ => new LayerPlan(
            new AttentionPlan { Heads = 32, KvHeads = 8, HeadDim = 128, Rotary = 0 }, new MlpPlan(14336, Activation.Silu, Gated: true))),
        TiedHead = false,
    };

    /// <summary>Single products, launched one by one over so many matrices that the L2 does not hold them: seconds on the device.</summary>
    public static void Products(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        foreach ((int outputs, int inputs) in (ReadOnlySpan<(int, int)>)
            [(3840, 1280), (1280, 1280), (5120, 1280), (1280, 5120), (50257, 1280), (6144, 4096), (4096, 14336)])
        {
            long bytes = (kernels.Describe(DenseFormat.BF16, outputs, inputs).Bytes + 63) / 64 * 64;
            int copies = (int)Math.Clamp((256L << 20) / bytes, 2, 40);
            using var host = new NativeMemoryBlock((long)outputs * inputs * 2);
            Tensor raw = host.View(DType.BF16, outputs, inputs, inputs);
            Fill(raw);
            using MemoryBlock packed = kernels.Allocate(bytes * copies, sparse: false);
            Projection[] matrices = [.. Enumerable.Range(0, copies).Select(i => Pack(kernels, raw, packed, i * bytes))];
            using ProductInput x = kernels.CreateInput(1024, inputs, [DenseFormat.BF16]);
            int stride = (outputs + 15) / 16 * 16;
            using MemoryBlock y = kernels.Allocate(1024L * stride * 4, sparse: false);
            var times = new JsonObject();
            foreach (int rows in (int[])[1, 8, 16, 32, 64, 256, 1024])
            {
                InputRows input = x.Rows(0, rows);
                Tensor output = y.View(DType.F32, rows, outputs, stride);
                double seconds = double.MaxValue;
                for (int repeat = 0; repeat < 6; repeat++)
                {
                    seconds = Math.Min(seconds, OnDevice(kernels.Driver, () =>
                    {
                        foreach (Projection matrix in matrices)
                        {
                            kernels.Multiply(input, matrix, output);
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

    private static Projection Pack(CudaKernels kernels, Tensor raw, MemoryBlock block, long offset)
    {
        var format = DenseFormat.Of(raw.Type);
        WeightMatrix matrix = kernels.Describe(format, raw.Rows, raw.Columns);
        matrix.Place(block, offset);
        kernels.Pack(matrix, new MatrixPart(new StoredTensor(format, raw.Rows, raw.Columns, raw.Data)));
        return new Projection(matrix);
    }

    /// <param name="prefill">Tokens of a prompt to time, in passes of the widest kind; 0: none.</param>
    public static void Passes(CheckRun run, ModelConfig config, int[] widths, int prefill = 0)
    {
        CudaKernels kernels = run.Open();
        double bandwidth = kernels.MeasureBandwidth(2L << 30);
        run.Report("copy_bytes_per_second", bandwidth);
        long loading = Stopwatch.GetTimestamp();
        using Transformer model = ModelLoader.Random(config, config.Family.Name, kernels, 1);
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
}
