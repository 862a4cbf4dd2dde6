using System.Runtime.InteropServices;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Tests.Sampling;

/// <summary>
/// Sampling through the whole loop follows the model's own distribution. The seeds are fixed, so a test's outcome is too.
/// </summary>
[Collection(DemoGroup.Name)]
public class DistributionTests(DemoBundle demo)
{
    private const int Seeds = 2500;

    private readonly int[] _prompt = demo.Target.Tokenizer.Encode(Samples.Prompts[2]);

    [Theory]
    [InlineData(SpeculationMode.Off)]
    [InlineData(SpeculationMode.Staged)]
    public void The_first_token_is_distributed_as_the_softmax_of_the_logits(SpeculationMode mode)
    {
        double[] expected = Softmax(Logits(_prompt), 1, keep: int.MaxValue);
        var counts = new int[expected.Length];
        foreach (int[] answer in Answers(mode, new SamplingParams { Temperature = 1 }, tokens: 1))
        {
            counts[answer[0]]++;
        }

        AssertFollows(expected, counts);
    }

    /// <summary>The second token is one that a tree proposed, where it speculates.</summary>
    [Theory]
    [InlineData(SpeculationMode.Off)]
    [InlineData(SpeculationMode.Staged)]
    public void Two_tokens_together_are_distributed_as_the_filtered_softmax(SpeculationMode mode)
    {
        const int Kept = 5;
        const double Temperature = 0.7;
        double[] first = Softmax(Logits(_prompt), Temperature, Kept);
        int[] kept = [.. Enumerable.Range(0, first.Length).Where(token => first[token] > 0)];
        Assert.Equal(Kept, kept.Length);
        int vocabulary = first.Length;
        double[] expected = new double[Kept * vocabulary];
        for (int i = 0; i < Kept; i++)
        {
            double[] second = Softmax(Logits([.. _prompt, kept[i]]), Temperature, Kept);
            for (int token = 0; token < vocabulary; token++)
            {
                expected[(i * vocabulary) + token] = first[kept[i]] * second[token];
            }
        }

        var counts = new int[expected.Length];
        foreach (int[] answer in Answers(mode, new SamplingParams { Temperature = (float)Temperature, TopK = Kept }, tokens: 2))
        {
            int at = Array.IndexOf(kept, answer[0]);
            Assert.True(at >= 0, $"token {answer[0]} is not among the {Kept} most probable ones");
            counts[(at * vocabulary) + answer[1]]++;
        }

        AssertFollows(expected, counts);
    }

    [Fact]
    public void The_measure_tells_a_wrong_temperature_from_the_right_one()
    {
        var counts = new int[demo.Target.Config.VocabularySize];
        foreach (int[] answer in Answers(SpeculationMode.Off, new SamplingParams { Temperature = 1 }, tokens: 1))
        {
            counts[answer[0]]++;
        }

        var (distance, freedom) = ChiSquare(Softmax(Logits(_prompt), 1.15, keep: int.MaxValue), counts);
        Assert.True(distance > Limit(freedom));
    }

    private IEnumerable<int[]> Answers(SpeculationMode mode, SamplingParams sampling, int tokens)
    {
        using DecodingLoop loop = demo.CreateLoop();
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            yield return loop.Decode(LoopRuns.Request(_prompt, sampling with { Seed = seed }, tokens) with { Speculation = mode });
        }
    }

    private float[] Logits(int[] tokens)
    {
        Transformer target = demo.Target.Transformer;
        using KvCache cache = target.CreateCache(tokens.Length);
        var batch = new ForwardBatch(tokens.Length, 1);
        for (int position = 0; position < tokens.Length; position++)
        {
            batch.Add(tokens[position], position);
        }

        batch.FirstLogitsRow = tokens.Length - 1;
        Tensor logits = target.Forward(batch, cache);
        float[] row = new float[target.Config.VocabularySize];
        Marshal.Copy(logits.Data, row, 0, row.Length);
        return row;
    }

    private static double[] Softmax(float[] logits, double temperature, int keep)
    {
        double least = logits.OrderDescending().Take(keep).Last();
        double highest = logits.Max();
        double[] weights = [.. logits.Select(logit => logit < least ? 0 : Math.Exp((logit - highest) / temperature))];
        double sum = weights.Sum();
        return [.. weights.Select(weight => weight / sum)];
    }

    private static void AssertFollows(double[] expected, int[] counts)
    {
        Assert.Equal(Seeds, counts.Sum());
        for (int i = 0; i < counts.Length; i++)
        {
            Assert.True(expected[i] > 0 || counts[i] == 0, "Something impossible came.");
        }

        var (distance, freedom) = ChiSquare(expected, counts);
        Assert.True(freedom >= 4, $"{freedom + 1} cells tell little.");
        Assert.True(distance < Limit(freedom), $"chi-square {distance:F1} with {freedom} degrees of freedom");
    }

    /// <summary>Pearson's statistic; what is expected fewer than 10 times goes into one cell.</summary>
    private static (double Distance, int Freedom) ChiSquare(double[] expected, int[] counts)
    {
        double distance = 0;
        int cells = 0;
        double restExpected = 0;
        int restCount = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            double mean = expected[i] * Seeds;
            if (mean < 10)
            {
                restExpected += mean;
                restCount += counts[i];
                continue;
            }

            distance += (counts[i] - mean) * (counts[i] - mean) / mean;
            cells++;
        }

        if (restExpected >= 10)
        {
            distance += (restCount - restExpected) * (restCount - restExpected) / restExpected;
            cells++;
        }

        return (distance, cells - 1);
    }

    /// <summary>The 99.9 % point of the distribution of chi-square (Wilson and Hilferty's approximation).</summary>
    private static double Limit(int freedom)
    {
        const double Normal = 3.09;
        double variance = 2.0 / (9 * freedom);
        return freedom * Math.Pow(1 - variance + (Normal * Math.Sqrt(variance)), 3);
    }
}
