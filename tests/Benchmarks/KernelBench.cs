using System.Diagnostics;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cpu;

namespace Understory.Benchmarks;

/// <summary>What passes of so many rows cost, relative to one row and to a bare read of the weights, all in one run.</summary>
internal static class KernelBench
{
    private const int Vocabulary = 4096;
    private const int Context = 1024;
    private const int Prompt = 128;
    private static readonly int[] RowCounts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64];

    public static void Run(string? set, int threads, string[] shapes)
    {
        threads = threads == 0 ? Environment.ProcessorCount : threads;
        using IKernels kernels = KernelCatalog.Create(set, threads);
        Console.WriteLine($"{kernels.Name}, {threads} threads");
        foreach (string shape in shapes)
        {
            int[] numbers = [.. shape.Split('x').Select(int.Parse)];
            using LayerStack stack = new(kernels, numbers[0], numbers[1], Vocabulary, Context, 256);
            Console.WriteLine($"\n{shape}: {stack.PassBytes / 2e6:F2}M parameters, {stack.PassBytes / 1e6:F1} MB");
            Passes(stack, threads);
            Operations(stack, 1);
            Operations(stack, 8);
        }

        Decisions(kernels);
    }

    private static void Passes(LayerStack stack, int threads)
    {
        Clock clock = new();
        using ThreadTeam team = new(threads);
        ReadJob read = new(stack.Weights, stack.PassBytes);
        ForwardBatch[] batches = [.. RowCounts.Select(Tree)];
        ForwardBatch prompt = Sequence(Prompt, 0);
        stack.Forward(prompt, clock);
        int inner = (int)Math.Clamp(20_000_000 / stack.PassBytes, 1, 100);
        int repeats = stack.PassBytes > 20_000_000 ? 25 : 60;
        double[][] seconds = [.. Enumerable.Range(0, RowCounts.Length + 2).Select(_ => new double[repeats])];
        for (int repeat = 0; repeat < repeats; repeat++)
        {
            for (int i = 0; i < RowCounts.Length; i++)
            {
                seconds[i][repeat] = Time(() => stack.Forward(batches[i], clock), inner);
            }

            seconds[^2][repeat] = Time(() => stack.Forward(prompt, clock), 1);
            seconds[^1][repeat] = Time(() => team.Run(read, ReadJob.Pieces, 1), inner);
        }

        double gigabytes = stack.PassBytes / 1e9;
        double one = Best(seconds[0]);
        double medianOne = Median(seconds[0]);
        Console.WriteLine($"read loop {gigabytes / Best(seconds[^1]):F1} GB/s (median {gigabytes / Median(seconds[^1]):F1})");
        Console.WriteLine(
            $"one row {gigabytes / one:F1} GB/s (median {gigabytes / medianOne:F1}): " +
            $"{100 * Best(seconds[^1]) / one:F0} % of it (median {100 * Median(seconds[^1]) / medianOne:F0} %)");
        for (int i = 0; i < RowCounts.Length; i++)
        {
            double best = Best(seconds[i]);
            double median = Median(seconds[i]);
            Console.WriteLine(
                $"{RowCounts[i],4} rows {best * 1e6,9:F1} us  {best / one,6:F2}x  (median {median * 1e6,9:F1} us "
                    + $"{median / medianOne,6:F2}x) " +
                $"{stack.PassBytes * RowCounts[i] / best / 1e9,7:F1} GFLOP/s");
        }

        double flops = stack.LayerFlops * Prompt;
        (double prefill, double medianPrefill) = (Best(seconds[^2]), Median(seconds[^2]));
        Console.WriteLine($"prefill of {Prompt}: {prefill * 1e3:F2} ms, {flops / prefill / 1e9:F0} GFLOP/s (median "
            + $"{flops / medianPrefill / 1e9:F0})");
    }

    private static void Operations(LayerStack stack, int rows)
    {
        Clock clock = new();
        ForwardBatch batch = Tree(rows);
        int passes = (int)Math.Clamp(200_000_000 / stack.PassBytes, 3, 300);
        stack.Forward(batch, clock);
        clock.On = true;
        for (int i = 0; i < passes; i++)
        {
            stack.Forward(batch, clock);
        }

        Console.WriteLine($"  {rows} rows, us: "
            + $"{string.Join("  ", Clock.Names.Select((name, kind) => $"{name} {clock.Microseconds(kind, passes):F1}"))}");
    }

    private static void Decisions(IKernels kernels)
    {
        Console.WriteLine();
        foreach (int vocabulary in (int[])[Vocabulary, 151_936])
        {
            using Models.Tensors.MemoryBlock block = kernels.Allocate(vocabulary * 4L);
            Models.Tensors.Tensor logits = block.View(Models.Tensors.DType.F32, 1, vocabulary, vocabulary);
            Random random = new(1);
            foreach (ref float logit in logits.Floats(0))
            {
                logit = 4 * (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() + random.NextDouble() - 2);
            }

            DecisionParams sampled = DecisionParams.Greedy with { Temperature = 1 };
            foreach ((string name, DecisionParams rule) in new[]
            {
                ("greedy", DecisionParams.Greedy), ("T 1", sampled), ("T 1, top_k 50", sampled with { TopK = 50 }),
                ("T 1, top_p 0.9", sampled with { TopP = 0.9f }),
            })
            {
                DecisionBatch batch = new(1, 8, 1) { Rows = 1, Params = rule };
                foreach (int best in (int[])[1, 8])
                {
                    batch.Best = best;
                    int calls = 4_000_000 / vocabulary;
                    double time = Enumerable.Range(0, 20).Min(_ => Time(() => kernels.Decide(logits, batch), calls));
                    Console.WriteLine($"decide {vocabulary,6} {name,-14} best {best}: {time * 1e6:F2} us");
                }
            }
        }
    }

    /// <summary>Rows of a tree under the prompt: two branches.</summary>
    private static ForwardBatch Tree(int rows)
    {
        ForwardBatch batch = new(rows, rows);
        int[] path = new int[rows];
        for (int row = 0; row < rows; row++)
        {
            int depth = row / 2;
            for (int i = 0; i < depth; i++)
            {
                path[i] = Prompt + (2 * i) + (row & 1);
            }

            batch.Add(row, Prompt + row, Prompt, path.AsSpan(0, depth));
        }

        return batch;
    }

    private static ForwardBatch Sequence(int rows, int first)
    {
        ForwardBatch batch = new(rows, 1);
        for (int row = 0; row < rows; row++)
        {
            batch.Add(row, first + row);
        }

        batch.FirstLogitsRow = rows - 1;
        return batch;
    }

    private static double Time(Action action, int times)
    {
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; i < times; i++)
        {
            action();
        }

        return Stopwatch.GetElapsedTime(begin).TotalSeconds / times;
    }

    private static double Best(double[] seconds) => seconds.Min();

    private static double Median(double[] seconds) => seconds.Order().ElementAt(seconds.Length / 2);
}
