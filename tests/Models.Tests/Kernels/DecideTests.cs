using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

public class DecideTests
{
    public static TheoryData<string> Sets => Arena.FastSets;

    public static TheoryData<string> AllSets => [.. KernelCatalog.Available.Select(set => set.Name)];

    private static DecisionParams Sampled(float temperature = 1, int topK = 0, float topP = 1, float minP = 0) => DecisionParams.Greedy with
    {
        Temperature = temperature,
        TopK = topK,
        TopP = topP,
        MinP = minP,
        Seed = 42,
    };

    public static TheoryData<string, float, int, float, float> Filters
    {
        get
        {
            TheoryData<string, float, int, float, float> data = [];
            foreach (string set in Arena.FastNames)
            {
                data.Add(set, 0, 0, 1, 0);
                data.Add(set, 1, 0, 1, 0);
                data.Add(set, 0.05f, 0, 1, 0);
                data.Add(set, 7, 0, 1, 0);
                data.Add(set, 1, 1, 1, 0);
                data.Add(set, 1, 50, 1, 0);
                data.Add(set, 1, 500, 1, 0);
                data.Add(set, 1, 100_000, 1, 0);
                data.Add(set, 0.8f, 0, 0.9f, 0);
                data.Add(set, 1.5f, 0, 0.9999f, 0);
                data.Add(set, 1, 0, 0, 0);
                data.Add(set, 1, 0, 1, 0.05f);
                data.Add(set, 1, 40, 0.95f, 0.01f);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Filters))]
    public void The_candidates_are_the_reference_s(string set, float temperature, int topK, float topP, float minP)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int vocabulary in (int[])[1, 3, 16, 17, 64, 65, 300, 4096, 5001])
        {
            foreach (int best in (int[])[1, 4, 32])
            {
                using Arena arena = new(vocabulary + best);
                const int Rows = 6;
                Tensor logits = arena.Normal(Rows, vocabulary, 3);
                DecisionBatch expected = new(Rows, 32, 4) { Params = Sampled(temperature, topK, topP, minP), Rows = Rows, Best = best };
                DecisionBatch actual = new(Rows, 32, 4) { Params = expected.Params, Rows = Rows, Best = best };
                for (int row = 0; row < Rows; row++)
                {
                    expected.Positions[row] = actual.Positions[row] = 1000 * row;
                    expected.Given[row] = actual.Given[row] = row == 0 ? -1 : (row * 77) % vocabulary;
                }

                reference.Decide(logits, expected);
                kernels.Decide(logits, actual);
                string what = $"vocabulary {vocabulary}, best {best}";
                for (int row = 0; row < Rows; row++)
                {
                    Assert.Equal(expected.GivenLogProbs[row], actual.GivenLogProbs[row], 1e-5f);
                    for (int i = row * 32; i < (row * 32) + best; i++)
                    {
                        Assert.True(expected.Tokens[i] == actual.Tokens[i], $"{what}, row {row}, place {i % 32}");
                        Assert.Equal(expected.Scores[i], actual.Scores[i], 1e-5f + (3e-7f * MathF.Abs(expected.Scores[i])));
                        Assert.Equal(expected.LogProbs[i], actual.LogProbs[i], 1e-5f);
                    }
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(AllSets))]
    public void The_lowest_id_wins_a_tie_and_nothing_loses_to_NaN(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 1);
        using Arena arena = new();
        foreach (int vocabulary in (int[])[40, 1000])
        {
            Tensor logits = arena.Zeros(3, vocabulary);
            logits.Floats(1).Fill(float.NaN);
            logits.Floats(1)[33] = -5;
            logits.Floats(1)[34] = float.NegativeInfinity;
            logits.Floats(2)[20] = float.PositiveInfinity;
            logits.Floats(2)[30] = float.PositiveInfinity;
            DecisionBatch batch = new(3, 3, 1) { Rows = 3, Best = 3 };
            kernels.Decide(logits, batch);
            Assert.Equal([0, 1, 2], batch.Tokens[..3]);
            Assert.Equal([33, -1, -1], batch.Tokens[3..6]);
            Assert.Equal(0f, batch.LogProbs[3]);
            Assert.Equal([20, 30, 0], batch.Tokens[6..9]);
            batch.Params = Sampled(topK: 3);
            kernels.Decide(logits, batch);
            Assert.Equal([0, 1, 2], batch.Tokens[..3].Order());
            Assert.Equal(33, batch.Tokens[3]);
        }
    }

    [Theory]
    [MemberData(nameof(AllSets))]
    public void Penalties_bias_and_mask_come_in_this_order(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 1);
        PenaltyCases.Order(kernels, logits => logits);
    }

    [Theory]
    [MemberData(nameof(AllSets))]
    public void The_window_of_the_repetition_penalty_slides_along_a_row_s_path(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 1);
        PenaltyCases.Window(kernels, logits => logits);
    }

    /// <summary>Whether a token was committed or stands on the path is nothing that the rule can see.</summary>
    [Theory]
    [MemberData(nameof(AllSets))]
    public void Tokens_on_the_path_are_penalised_as_committed_ones(string set)
    {
        const int Vocabulary = 40;
        const int Depth = 9;
        using IKernels kernels = KernelCatalog.Create(set, 1);
        using Arena arena = new();
        Tensor logits = arena.Normal(1, Vocabulary, 3);
        Random random = new(7);
        int[] text = [.. Enumerable.Range(0, 60).Select(_ => random.Next(Vocabulary))];
        foreach (int window in (int[])[0, 1, 5, 9, 30, 100])
        {
            float[]? expected = null;
            for (int onPath = 0; onPath <= Depth; onPath++)
            {
                TokenCounts counts = new(Vocabulary);
                for (int i = 0; i < text.Length - onPath; i++)
                {
                    counts.Add(text[i], output: i >= 30);
                }

                DecisionBatch batch = new(1, Vocabulary, Depth)
                {
                    Params = DecisionParams.Greedy with
                    {
                        RepetitionPenalty = 1.3f,
                        RepetitionWindow = window,
                        PresencePenalty = 0.2f,
                        FrequencyPenalty = 0.1f,
                    },
                    Counts = counts,
                    Rows = 1,
                    Best = Vocabulary,
                };
                batch.PathCount[0] = onPath;
                text.AsSpan(text.Length - onPath).CopyTo(batch.Path);
                kernels.Decide(logits, batch);
                expected ??= [.. batch.Scores];
                Assert.Equal(expected, batch.Scores);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_row_s_decision_does_not_depend_on_its_neighbours_or_on_the_threads(string set)
    {
        using Arena arena = new();
        Tensor logits = arena.Normal(40, 3000, 3);
        int[]? tokens = null;
        float[]? scores = null;
        foreach (int threads in (int[])[1, 2, 5])
        {
            foreach (int rows in (int[])[1, 7, 40])
            {
                using IKernels kernels = KernelCatalog.Create(set, threads);
                int[] chosen = new int[40];
                float[] reached = new float[40];
                for (int first = 0; first < 40; first += rows)
                {
                    int count = Math.Min(rows, 40 - first);
                    DecisionBatch batch = new(40, 1, 1) { Params = Sampled(), Rows = count };
                    for (int row = 0; row < count; row++)
                    {
                        batch.Positions[row] = first + row;
                    }

                    kernels.Decide(logits.RowRange(first, count), batch);
                    batch.Tokens.AsSpan(0, count).CopyTo(chosen.AsSpan(first));
                    batch.Scores.AsSpan(0, count).CopyTo(reached.AsSpan(first));
                }

                tokens ??= chosen;
                scores ??= reached;
                Assert.Equal(tokens, chosen);
                Assert.True(Arena.SameBits(scores, reached));
            }
        }
    }

    public static TheoryData<string, float, int, float, float> Distributions
    {
        get
        {
            TheoryData<string, float, int, float, float> data = [];
            foreach (string set in Arena.FastNames)
            {
                data.Add(set, 1, 0, 1, 0);
                data.Add(set, 0.7f, 5, 1, 0);
                data.Add(set, 1, 0, 0.8f, 0);
                data.Add(set, 1, 0, 1, 0.2f);
            }

            return data;
        }
    }

    /// <summary>20,000 draws, by seed and by position, against softmax over what the filters keep.</summary>
    [Theory]
    [MemberData(nameof(Distributions))]
    public void Choices_are_distributed_as_softmax(string set, float temperature, int topK, float topP, float minP)
    {
        using IKernels kernels = KernelCatalog.Create(set, 1);
        using Arena arena = new(7);
        const int Vocabulary = 24;
        const int Draws = 20_000;
        Tensor logits = arena.Normal(1, Vocabulary, 1.2f);
        double[] expected = Softmax(logits.Floats(0).ToArray(), temperature, topK, topP, minP);
        int[] seen = new int[Vocabulary];
        DecisionBatch batch = new(1, 1, 1) { Rows = 1 };
        for (int draw = 0; draw < Draws; draw++)
        {
            batch.Params = Sampled(temperature, topK, topP, minP) with { Seed = (ulong)(draw % 100) * 0x9E3779B97F4A7C15 };
            batch.Positions[0] = draw / 100;
            kernels.Decide(logits, batch);
            seen[batch.Tokens[0]]++;
        }

        double statistic = 0;
        int cells = 0;
        for (int v = 0; v < Vocabulary; v++)
        {
            if (expected[v] == 0)
            {
                Assert.Equal(0, seen[v]);
                continue;
            }

            double mean = expected[v] * Draws;
            statistic += (seen[v] - mean) * (seen[v] - mean) / mean;
            cells++;
        }

        // Wilson-Hilferty: the cube root of chi-square over its degrees of freedom is nearly normal; 4 standard deviations.
        double freedom = cells - 1;
        double deviation = (Math.Cbrt(statistic / freedom) - (1 - (2 / (9 * freedom)))) / Math.Sqrt(2 / (9 * freedom));
        Assert.True(cells > 1 && deviation < 4, $"chi-square {statistic:F1} with {freedom} degrees of freedom");
    }

    [Fact]
    public void Philox_gives_the_known_answers()
    {
        // Random123, kat_vectors, philox4x32-10. (The fourth counter word is always 0 here.)
        Assert.Equal((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u), GumbelNoise.Philox(0, 0, 0, 0));
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Scores_hold_the_exact_noise(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 1);
        using Arena arena = new();
        const int Vocabulary = 2000;
        Tensor logits = arena.Zeros(1, Vocabulary);
        DecisionBatch batch = new(1, 32, 1) { Rows = 1, Best = 32 };
        for (int seed = 0; seed < 200; seed++)
        {
            batch.Params = Sampled() with { Seed = (ulong)seed << 30, Choice = (uint)seed % 3 };
            batch.Positions[0] = seed * 5;
            kernels.Decide(logits, batch);
            for (int i = 0; i < 32; i++)
            {
                double exact = GumbelNoise.Exact(batch.Params.Seed, batch.Positions[0], batch.Tokens[i], batch.Params.Choice);
                Assert.InRange(batch.Scores[i] / exact, 1 - 1e-6, 1 + 1e-6);
            }
        }
    }

    private static double[] Softmax(float[] logits, float temperature, int topK, float topP, float minP)
    {
        int[] order = [.. Enumerable.Range(0, logits.Length).OrderByDescending(v => logits[v])];
        double[] weights = [.. order.Select(v => Math.Exp(logits[v] / temperature))];
        int kept = topK > 0 ? topK : logits.Length;
        double total = weights.Take(kept).Sum();
        if (topP < 1)
        {
            double sum = 0;
            kept = weights.Take(kept).TakeWhile(weight => (sum += weight) - weight < topP * total).Count();
        }

        kept = weights.Take(kept).TakeWhile(weight => weight >= minP * weights[0]).Count();
        total = weights.Take(kept).Sum();
        double[] probabilities = new double[logits.Length];
        for (int i = 0; i < kept; i++)
        {
            probabilities[order[i]] = weights[i] / total;
        }

        return probabilities;
    }
}
