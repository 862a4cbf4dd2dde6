using System.Diagnostics;
using System.Text.Json.Nodes;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;
using Understory.Models.Tests.Kernels;
using static Understory.Gpu.ProductChecks;

namespace Understory.Gpu;

/// <summary>What the kernels ask of a device and its driver: modules, graphs, launches that overlap, virtual memory.</summary>
internal static class DeviceChecks
{
    public static Check[] All { get; } =
    [
        new("device", Open),
        new("graph", Graph),
        new("dependent_launch", DependentLaunch),
        new("virtual_memory", VirtualMemory),
        new("copy_bandwidth", Bandwidth, Check.Timed),
        new("self_check", SelfCheck),
    ];

    /// <summary>Takes seconds, and so is no part of the first stage.</summary>
    public static Check CompilePtx { get; } = new("compile_ptx", Compile);

    private static void Open(CheckRun run)
    {
        long start = Stopwatch.GetTimestamp();
        CudaDeviceInfo device = run.Open().Device;
        int assembled = run.Driver!.AssembledModules;
        run.Report("device", new JsonObject
        {
            ["name"] = device.Name,
            ["capability"] = $"{device.Major}.{device.Minor}",
            ["multiprocessors"] = device.Multiprocessors,
            ["memory_bytes"] = device.MemoryBytes,
            ["shared_bytes"] = device.SharedBytes,
            ["l2_bytes"] = device.L2Bytes,
            ["driver"] = device.DriverVersion,
        });
        run.Report("assembled_modules", assembled);
        run.Report("start_seconds", Stopwatch.GetElapsedTime(start).TotalSeconds);
        run.Report("summary", $"{device.Name}, driver {device.DriverVersion}, {assembled} modules came assembled");
    }

    /// <summary>A pass that runs as it is, is recorded, and is repeated from the record on other data, with the same bits.</summary>
    private static void Graph(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        using var pair = new Pair(kernels, 1);
        Pass pass = new(pair, run.Size(1280, 64));
        (float[][] first, float[][] other) = (pass.Run(0), pass.Run(1));
        for (int round = 0; round < 4; round++)
        {
            ExpectBits(run, first, pass.Run(0), $"round {round}, the first input");
            ExpectBits(run, other, pass.Run(1), $"round {round}, the second input");
        }

        run.Expect(Pair.FirstOther(first, other) == 0, "two inputs gave the same output");
        run.Expect(pass.Changed(first), "the pass changed nothing");
        run.Expect(run.Driver!.GraphLaunches > 0, "no pass was recorded");
    }

    /// <summary>A chain of launches, each of which reads what the one before it wrote: with and without overlap the same bits.</summary>
    private static void DependentLaunch(CheckRun run)
    {
        float[][]? expected = null;
        foreach (bool overlap in (bool[])[false, true])
        {
            using var pair = new Pair(run.Open(overlap, record: false), 1);
            Pass pass = new(pair, run.Size(1280, 64));
            for (int round = 0; round < run.Size(20, 2); round++)
            {
                float[][] actual = pass.Run(0, repeats: 20);
                run.Expect(pass.Changed(actual), "the passes changed nothing");
                ExpectBits(run, expected ??= actual, actual, $"round {round}, {(overlap ? "with overlap" : "without")}");
            }
        }
    }

    /// <summary>A cache's memory comes as it is reached; what was there stays, and all of it is given back.</summary>
    private static void VirtualMemory(CheckRun run)
    {
        const int Heads = 4;
        const int HeadDim = 64;
        CudaKernels kernels = run.Open();
        long before = kernels.Driver.FreeMemory;
        using var pair = new Pair(kernels, 2);
        var layers = new KvLayer[2];
        int slots = run.Size(1 << 18, 1 << 12);
        long step = 2L * 2 * Heads * HeadDim * KvLayer.BlockSlots * 2;
        using (MemoryBlock memory = kernels.AllocateCache(layers, [new KvShape(Heads, HeadDim), new KvShape(Heads, HeadDim)],
            CacheType.BF16, slots))
        {
            memory.Reach(step);
            long small = kernels.Driver.FreeMemory;
            Operand qkv = pair.Uniform(16, 3 * Heads * HeadDim);
            Operand y = pair.Room(16, Heads * HeadDim);
            var batch = new ForwardBatch(16, 1);
            Pair.Fill(batch, 0, 16);
            kernels.StoreKeysValues(qkv.Device, Heads, default, layers[1], batch);
            float[][] early = Read();
            memory.Reach(memory.Bytes);
            ExpectBits(run, early, Read(), "attention before and after the memory grew");
            run.Report("bytes_at_first", before - small);
            run.Report("bytes_at_last", before - kernels.Driver.FreeMemory);
            run.Expect(before - kernels.Driver.FreeMemory > before - small, "growing took no memory");

            float[][] Read()
            {
                pair.Poison(y);
                var attention = new AttentionParams(Heads, Heads, HeadDim, 0.125f, 0);
                kernels.Attend(qkv.Device.ColumnRange(0, Heads * HeadDim), layers[1], attention, batch, y.Device);
                return pair.Download(y);
            }
        }

        // What else was allocated here is small.
        long kept = before - kernels.Driver.FreeMemory;
        run.Expect(kept < run.Size(64L << 20, 4L << 20), $"{kept:N0} bytes were not given back");
    }

    private static void Bandwidth(CheckRun run)
    {
        double bandwidth = run.Open().MeasureBandwidth(2L << 30);
        run.Report("bytes_per_second", bandwidth);
        run.Report("summary", $"{bandwidth / 1e9:F0} GB/s, read and written");
    }

    private static void SelfCheck(CheckRun run)
    {
        string? difference = CudaSelfCheck.Run(run.Open());
        run.Expect(difference is null, difference ?? "");
    }

    /// <summary>The driver's own compiler takes the PTX, which it keeps for the next start.</summary>
    private static void Compile(CheckRun run)
    {
        long start = Stopwatch.GetTimestamp();
        CudaKernels kernels = run.Open(cubins: false);
        run.Report("seconds", Stopwatch.GetElapsedTime(start).TotalSeconds);
        string? difference = CudaSelfCheck.Run(kernels);
        run.Expect(difference is null, difference ?? "");
        run.Report("summary", $"{Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s to compile, or to find what was compiled before");
    }

    /// <summary>One small layer: norm, product that stores keys and values, attention, product with a residual.</summary>
    private sealed class Pass
    {
        private const int Rows = 5;
        private const int HeadDim = 64;
        private const int Padded = 8;

        private readonly Pair _pair;
        private readonly int _hidden;
        private readonly Weights _qkv;
        private readonly Weights _output;
        private readonly Operand _weight;
        private readonly Operand _bias;
        private readonly Operand[] _inputs;
        private readonly Operand _x;
        private readonly Operand _columns;
        private readonly ProductInput _normed;
        private readonly ProductInput _attended;
        private readonly Cache _cache;
        private readonly ForwardBatch _batch = new(Rows, 1);

        public Pass(Pair pair, int hidden)
        {
            _pair = pair;
            _hidden = hidden;
            _qkv = pair.Matrix(DType.BF16, 3 * hidden, hidden);
            _output = pair.Matrix(DType.BF16, hidden, hidden);
            (_weight, _bias) = (pair.Uniform(1, hidden), pair.Uniform(1, hidden));
            _inputs = [pair.Uniform(Padded, hidden), pair.Uniform(Padded, hidden)];
            (_x, _columns) = (pair.Uniform(Padded, hidden), pair.Room(Padded, 3 * hidden));
            (_normed, _attended) = (pair.Inputs(DType.BF16, Padded, hidden), pair.Inputs(DType.BF16, Padded, hidden));
            _cache = pair.Cache(DType.BF16, hidden / HeadDim, HeadDim, 32);
            Pair.Fill(_batch, 0, Rows);
        }

        public float[][] Run(int input, int repeats = 1)
        {
            _pair.Copy(_inputs[input], _x);
            for (int repeat = 0; repeat < repeats; repeat++)
            {
                _pair.Pass(this, _batch, _cache, Operations);
            }

            return _pair.Download(_x.Rows(0, Rows));
        }

        /// <summary>Every row is another than that of the first input, and a number.</summary>
        public bool Changed(float[][] output) => Enumerable.Range(0, Rows).All(row =>
            output[row].All(float.IsFinite) && !Pair.SameBits(_inputs[0].Host.Floats(row), output[row]));

        private void Operations()
        {
            int heads = _hidden / HeadDim;
            var normed = new ProductSource(_x.Rows(0, Rows).Device, Pair.LayerNorm(_weight, _bias), _normed);
            _pair.MultiplyStoreOnDevice(_qkv, normed, _columns.Rows(0, Rows), heads, _cache, _batch);
            var attention = new AttentionParams(heads, heads, HeadDim, 0.125f, 0);
            _pair.AttendOnDevice(_columns.Rows(0, Rows).Columns(0, _hidden), _cache, attention, _batch, _attended.Rows(0, Rows));
            _pair.MultiplyOnDevice(_output, _attended.Rows(0, Rows), _x.Rows(0, Rows), add: true);
        }
    }
}
