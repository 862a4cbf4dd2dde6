using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using static Understory.Gpu.ProductChecks;

namespace Understory.Gpu;

/// <summary>The decision rule's kernels against the reference: the same tokens.</summary>
internal static class DecisionChecks
{
    private static readonly DecisionParams _sampled = DecisionParams.Greedy with { Temperature = 1, Seed = 42 };

    public static Check[] All { get; } =
    [
        new("decide_parts_and_merge", run => Decide(run, run.Size<int[]>([1, 3, 65, 1024, 50257, 128256], [1, 3, 65, 2500]),
            [DecisionParams.Greedy, _sampled, _sampled with { Temperature = 0.05f }])),
        new("decide_filter", run => Decide(run, run.Size<int[]>([65, 1024, 2500, 32000], [65, 1500]),
        [
            _sampled with { TopK = 1 }, _sampled with { TopK = 50 }, _sampled with { TopK = 100_000 },
            _sampled with { Temperature = 0.8f, TopP = 0.9f }, _sampled with { TopP = 0 }, _sampled with { MinP = 0.05f },
            _sampled with { TopK = 40, TopP = 0.95f, MinP = 0.01f },
        ])),
        new("decide_change", Change),
        new("decide_noise", Noise),
        new("decide_ties", Ties),
    ];

    private static void Decide(CheckRun run, int[] vocabularies, DecisionParams[] rules)
    {
        CudaKernels kernels = run.Open();
        foreach (int vocabulary in vocabularies)
        {
            const int Rows = 3;
            using var pair = new Pair(kernels, vocabulary);
            Operand logits = pair.Uniform(Rows, vocabulary, scale: 8);
            foreach (DecisionParams rule in rules)
            {
                foreach (int best in (int[])[1, 4, 32])
                {
                    (DecisionBatch expected, DecisionBatch actual) = (Batch(), Batch());
                    Compare(run, pair, logits, expected, actual, $"vocabulary {vocabulary}, {Words(rule)}");

                    DecisionBatch Batch()
                    {
                        var batch = new DecisionBatch(Rows, 32, 4) { Params = rule, Rows = Rows, Best = best };
                        for (int row = 0; row < Rows; row++)
                        {
                            batch.Positions[row] = 1000 * row;
                            batch.Given[row] = row == 0 ? -1 : (row * 77) % vocabulary;
                        }

                        return batch;
                    }
                }
            }
        }
    }

    /// <summary>Penalties, bias and mask, of more tokens than a block has threads.</summary>
    private static void Change(CheckRun run)
    {
        const int Rows = 4;
        CudaKernels kernels = run.Open();
        int vocabulary = run.Size(50257, 2100);
        using var pair = new Pair(kernels, 3);
        Operand logits = pair.Uniform(Rows, vocabulary, scale: 8);
        var counts = new TokenCounts(vocabulary);
        for (int i = 0; i < 1500; i++)
        {
            counts.Add(pair.Random.Next(vocabulary), output: i % 3 == 0);
        }

        int words = (vocabulary + 63) / 64;
        ulong[] mask = new ulong[Rows * words];
        pair.Random.NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(mask.AsSpan()));
        int[] paths = [.. Enumerable.Range(0, Rows * 4).Select(_ => pair.Random.Next(vocabulary))];
        foreach (DecisionParams rule in (DecisionParams[])[DecisionParams.Greedy, _sampled, _sampled with { TopK = 20, TopP = 0.9f }])
        {
            foreach ((bool masked, int window) in ((bool, int)[])[(false, 0), (true, 0), (false, 100)])
            {
                Compare(run, pair, logits, Batch(), Batch(), $"{(masked ? "mask" : "no mask")}, window {window}, {Words(rule)}");

                DecisionBatch Batch()
                {
                    var batch = new DecisionBatch(Rows, 8, 4)
                    {
                        Params = rule with
                        {
                            RepetitionPenalty = 1.3f,
                            RepetitionWindow = window,
                            PresencePenalty = 0.25f,
                            FrequencyPenalty = 0.5f,
                        },
                        Counts = counts,
                        Rows = Rows,
                        Best = 8,
                        BiasTokens = [12, 50, vocabulary - 1],
                        BiasValues = [10, 0.125f, -3],
                        Mask = masked ? mask : null,
                        MaskWords = masked ? words : 0,
                    };
                    for (int row = 0; row < Rows; row++)
                    {
                        (batch.Positions[row], batch.PathCount[row], batch.Given[row]) = (row, row, 50);
                    }

                    paths.CopyTo(batch.Path, 0);
                    return batch;
                }
            }
        }
    }

    /// <summary>Scores are the bits of this machine's own kernels: the noise is the same function.</summary>
    private static void Noise(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        using IKernels processor = KernelCatalog.Create(threads: 1);
        using var pair = new Pair(kernels, 4);
        Operand logits = pair.Uniform(2, run.Size(50257, 900), scale: 2);
        (DecisionBatch expected, DecisionBatch actual) = (Batch(), Batch());
        processor.Decide(logits.Host, expected);
        pair.DecideOnDevice(logits, actual);
        run.Expect(expected.Tokens.AsSpan().SequenceEqual(actual.Tokens), $"tokens {Words(actual.Tokens)}, not {Words(expected.Tokens)}");
        run.Expect(Pair.SameBits(expected.Scores, actual.Scores), $"scores {Words(actual.Scores)}, not {Words(expected.Scores)}");

        static DecisionBatch Batch()
        {
            var batch = new DecisionBatch(2, 8, 1)
            {
                Params = DecisionParams.Greedy with { Temperature = 0.7f, Seed = 0xFEDCBA9876543210, Choice = 2 },
                Rows = 2,
                Best = 8,
            };
            batch.Positions[1] = 77;
            return batch;
        }
    }

    /// <summary>Equal logits, NaN and infinities: the lowest token of the best, in the order of the reference.</summary>
    private static void Ties(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        foreach (int vocabulary in run.Size<int[]>([40, 1500, 50257], [40, 1500]))
        {
            using var pair = new Pair(kernels, 5);
            Operand logits = pair.Uniform(3, vocabulary, scale: 0);
            logits.Host.Floats(1).Fill(float.NaN);
            (logits.Host.Floats(1)[33], logits.Host.Floats(1)[34]) = (-5, float.NegativeInfinity);
            (logits.Host.Floats(2)[20], logits.Host.Floats(2)[30]) = (float.PositiveInfinity, float.PositiveInfinity);
            pair.Upload(logits);
            var batch = new DecisionBatch(3, 3, 1) { Rows = 3, Best = 3 };
            pair.DecideOnDevice(logits, batch);
            int[] expected = [0, 1, 2, 33, -1, -1, 20, 30, 0];
            run.Expect(
                batch.Tokens.AsSpan().SequenceEqual(expected),
                $"vocabulary {vocabulary}: tokens {Words(batch.Tokens)}, not {Words(expected)} ({Kernels(run)})");
        }
    }

    private static void Compare(CheckRun run, Pair pair, Operand logits, DecisionBatch expected, DecisionBatch actual, string what)
    {
        pair.Reference.Decide(logits.Host, expected);
        pair.DecideOnDevice(logits, actual);
        for (int row = 0; row < expected.Rows; row++)
        {
            run.Expect(
                Near(expected.GivenLogProbs[row], actual.GivenLogProbs[row]),
                $"{what}, row {row}, given token: log p {actual.GivenLogProbs[row]}, not {expected.GivenLogProbs[row]} ({Kernels(run)})");
            for (int place = 0; place < expected.Best; place++)
            {
                int i = (row * expected.MaxBest) + place;
                run.Expect(
                    expected.Tokens[i] == actual.Tokens[i],
                    $"{what}, row {row}, place {place} of {expected.Best}: {actual.Tokens[i]}, not {expected.Tokens[i]} ({Kernels(run)})");
                run.Expect(
                    expected.Tokens[i] < 0 || Near(expected.LogProbs[i], actual.LogProbs[i]),
                    $"{what}, row {row}, place {place}: log-probability {actual.LogProbs[i]}, not {expected.LogProbs[i]} ({Kernels(run)})");
            }
        }
    }

    /// <summary>What no token has is minus infinity on both sides.</summary>
    private static bool Near(float a, float b) => a.Equals(b) || Math.Abs(a - b) <= 3e-5f;

    private static string Words<T>(T[] numbers) => string.Join(", ", numbers);

    private static string Words(DecisionParams rule) => $"T {rule.Temperature}, top_k {rule.TopK}, top_p {rule.TopP}, min_p {rule.MinP}";
}
