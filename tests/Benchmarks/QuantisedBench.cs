using System.Diagnostics;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu;
using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Benchmarks;

/// <summary>
/// What products with quantised weights from memory cost, relative to one row, to a bare read of the same bytes and to a bf16 product,
/// all in one run.
/// </summary>
internal static unsafe class QuantisedBench
{
    private const int Width = 4096;
    private const long StackBytes = 256L << 20;
    private const int Repeats = 15;

    private static readonly int[] _rowCounts = [1, 2, 4, 8, 16, 32, 128];
    private static readonly sbyte[] _iq4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    private static readonly sbyte[] _fp4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

    private static readonly Dictionary<string, QuantisedForm> _forms = new()
    {
        ["Q4_K"] = new(4, 0, 32, 256, true, true, true),
        ["Q6_K"] = new(6, 32, 16, 256, true),
        ["Q8_0"] = new(8, 128, 32, 32),
        ["Q4_0"] = new(4, 8, 32, 32),
        ["Q4_1"] = new(4, 0, 32, 32, Mins: true),
        ["Q5_K"] = new(5, 0, 32, 256, true, true, true),
        ["Q5_0"] = new(5, 16, 32, 32),
        ["Q3_K"] = new(3, 4, 16, 256, true),
        ["Q2_K"] = new(2, 0, 16, 256, true, true, true),
        ["IQ4_NL"] = new(4, 0, 32, 32, Values: _iq4),
        ["IQ4_XS"] = new(4, 0, 32, 256, true, Values: _iq4),
        ["MXFP4"] = new(4, 0, 32, 32, Scale: ScaleType.E8M0, ScaleFactor: 0.5f, Values: _fp4),
        ["NVFP4"] = new(4, 0, 16, 16, Scale: ScaleType.UE4M3, ScaleFactor: 0.5f, Values: _fp4),
    };

    public static void Run(string? set, string[] forms)
    {
        int threads = Environment.ProcessorCount;
        QuantisedSet chosen = set is null ? QuantisedKernels.Available[0] : Enum.Parse<QuantisedSet>(set, ignoreCase: true);
        using var team = new ThreadTeam(threads);
        using IKernels kernels = KernelCatalog.Create(threads: threads);
        Console.WriteLine($"{chosen}, {threads} threads; matrices of {Width} x {Width}; of {Repeats} rounds");
        using var plain = new PlainProduct(kernels, Width, StackBytes);
        foreach (string name in forms.Length > 0 ? forms : [.. _forms.Keys])
        {
            Measure(name, _forms[name], chosen, team, plain);
        }
    }

    private static void Measure(string name, QuantisedForm form, QuantisedSet set, ThreadTeam team, PlainProduct plain)
    {
        var layout = new QuantisedLayout(form, Width, Width);
        int matrices = (int)Math.Max(1, StackBytes / layout.Bytes);
        long bytes = matrices * layout.Bytes;
        using var weights = new NativeMemoryBlock(bytes);
        double packed = Fill(layout, matrices, (byte*)weights.Address);
        int most = _rowCounts.Max();
        using var x = new NativeMemoryBlock(4L * Width * most);
        new Random(1).Fill(new Span<float>((void*)x.Address, Width * most));
        var read = new ReadJob(weights.Address, bytes);
        double[] readSeconds = new double[Repeats];
        double[] plainSeconds = new double[Repeats];
        double[][] seconds = [.. _rowCounts.Select(_ => new double[Repeats])];
        var first = (byte*)weights.Address;
        QuantisedJob[] jobs = [.. _rowCounts.Select(rows => new QuantisedJob(layout, set, first, matrices, (float*)x.Address, rows))];
        for (int repeat = -1; repeat < Repeats; repeat++)
        {
            int at = Math.Max(0, repeat);
            readSeconds[at] = Time(() => team.Run(read, ReadJob.Pieces, 1));
            plainSeconds[at] = Time(plain.Run);
            for (int i = 0; i < jobs.Length; i++)
            {
                seconds[i][at] = Time(() => team.Run(jobs[i], jobs[i].Items, 4));
            }
        }

        Console.WriteLine(
            $"\n{name}: {bytes * 8.0 / matrices / Width / Width:F3} bits a weight, {bytes / 1e6:F0} MB; " +
            $"packed at {packed / 1e9:F2} GB/s by one thread; 32 rows quantised in {Time(() => jobs[^2].Quantise()) * 1e6:F0} us");
        (string, Func<double[], double>)[] statistics = [("medians", Median), ("least", Enumerable.Min)];
        foreach ((string which, Func<double[], double> of) in statistics)
        {
            double one = of(seconds[0]);
            Console.WriteLine(
                $"  {which}: read {bytes / of(readSeconds) / 1e9:F1} GB/s, bf16 one row {plain.Bytes / of(plainSeconds) / 1e9:F1} GB/s, " +
                $"one row {bytes / one / 1e9:F1} GB/s: {100 * of(readSeconds) / one:F0} % of the read loop");
            for (int i = 0; i < jobs.Length; i++)
            {
                double time = of(seconds[i]);
                double products = (double)matrices * Width * Width * _rowCounts[i];
                Console.WriteLine(
                    $"  {_rowCounts[i],4} rows {time * 1e3,8:F2} ms {time / one,6:F2}x one row {products / time / 1e9,7:F1} GMAC/s");
            }
        }

        Array.ForEach(jobs, job => job.Dispose());
    }

    /// <returns>Bytes packed per second.</returns>
    private static double Fill(QuantisedLayout layout, int matrices, byte* weights)
    {
        var random = new Random(1);
        QuantisedRow[] rows = [.. Enumerable.Range(0, QuantisedLayout.Outputs).Select(_ => Row(layout.Form, random))];
        long start = 0;
        int blocks = matrices * layout.Blocks;
        for (int block = -8; block < blocks; block++)
        {
            start = block == 0 ? Stopwatch.GetTimestamp() : start;
            QuantisedPacker.Pack(layout, rows, weights + (Math.Max(0, block) * layout.BlockBytes));
        }

        return blocks * layout.BlockBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static QuantisedRow Row(QuantisedForm form, Random random)
    {
        var row = new QuantisedRow(form, Width);
        for (int i = 0; i < Width; i++)
        {
            row.Codes[i] = (byte)random.Next(1 << form.Bits);
        }

        foreach (ref sbyte value in row.Scales.AsSpan())
        {
            value = (sbyte)random.Next(16);
        }

        foreach (ref sbyte value in row.Mins.AsSpan())
        {
            value = (sbyte)random.Next(16);
        }

        // Of an ordinary size, whatever the type.
        uint wide = form.Scale switch { ScaleType.E8M0 => 120, ScaleType.UE4M3 => 20, _ => Scalar.ToFloat16(0.001f) };
        row.WideScales.AsSpan().Fill(wide);
        row.WideMins.AsSpan().Fill(wide);
        return row;
    }

    private static void Fill(this Random random, Span<float> values)
    {
        foreach (ref float value in values)
        {
            value = random.NextSingle() - 0.5f;
        }
    }

    private static double Time(Action action)
    {
        long begin = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }

    private static double Median(double[] seconds) => seconds.Order().ElementAt(seconds.Length / 2);
}
