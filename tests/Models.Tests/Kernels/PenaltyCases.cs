using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

/// <summary>What penalties, bias and mask make of four logits, on any kernels.</summary>
internal static class PenaltyCases
{
    private const int Vocabulary = 100;

    /// <param name="place">Brings logits to where the kernels read them.</param>
    public static void Order(IKernels kernels, Func<Tensor, Tensor> place)
    {
        using Arena arena = new();
        TokenCounts counts = new(Vocabulary);
        counts.Add(10, output: true);
        counts.Add(12, output: false);
        DecisionBatch batch = new(2, 5, 4)
        {
            Params = DecisionParams.Greedy with { RepetitionPenalty = 2, PresencePenalty = 0.25f, FrequencyPenalty = 0.5f },
            Counts = counts,
            Rows = 2,
            Best = 4,
            BiasTokens = [12, 50],
            BiasValues = [10, 0.125f],
            Mask = [~(1UL << 13), ~0UL, ~(1UL << 13), ~0UL],
            MaskWords = 2,
        };
        batch.PathCount[1] = 3;
        new[] { 10, 11, 10 }.CopyTo(batch.Path, batch.MaxDepth);
        kernels.Decide(place(Logits(arena, 2)), batch);
        Assert.Equal([(12, 8), (11, 3), (10, 1.25f), (50, 0.125f)], Best(batch, 0));
        Assert.Equal([(12, 8), (11, 0.75f), (10, 0.25f), (50, 0.125f)], Best(batch, 1));
    }

    /// <inheritdoc cref="Order"/>
    public static void Window(IKernels kernels, Func<Tensor, Tensor> place)
    {
        using Arena arena = new();
        TokenCounts counts = new(Vocabulary);
        counts.Add(12, output: false);
        counts.Add(10, output: true);
        DecisionBatch batch = new(4, 5, 4)
        {
            Params = DecisionParams.Greedy with
            {
                RepetitionPenalty = 2,
                RepetitionWindow = 2,
                PresencePenalty = 0.25f,
                FrequencyPenalty = 0.5f,
            },
            Counts = counts,
            Rows = 4,
            Best = 3,
            BiasTokens = [12],
            BiasValues = [10],
        };
        for (int row = 1; row < 4; row++)
        {
            batch.PathCount[row] = row;
            new[] { 11, 13, 10 }.AsSpan(0, row).CopyTo(batch.Path.AsSpan(row * batch.MaxDepth));
        }

        kernels.Decide(place(Logits(arena, 4)), batch);

        // Behind 12, 10: both are repeated.
        Assert.Equal([(13, 9), (12, 8), (11, 3)], Best(batch, 0));
        // Behind 12, 10, 11: no longer 12.
        Assert.Equal([(12, 9), (13, 9), (10, 1.25f)], Best(batch, 1));
        // Behind 12, 10, 11, 13: 10 still has what its occurrence costs.
        Assert.Equal([(12, 9), (13, 3.75f), (10, 3.25f)], Best(batch, 2));
        // Behind 12, 10, 11, 13, 10: 10 is repeated again, 11 no longer.
        Assert.Equal([(12, 9), (13, 3.75f), (11, 2.25f)], Best(batch, 3));
    }

    private static Tensor Logits(Arena arena, int rows)
    {
        Tensor logits = arena.Zeros(rows, Vocabulary);
        for (int row = 0; row < rows; row++)
        {
            logits.Floats(row)[10] = 4;
            logits.Floats(row)[11] = 3;
            logits.Floats(row)[12] = -1;
            logits.Floats(row)[13] = 9;
        }

        return logits;
    }

    private static (int Token, float Score)[] Best(DecisionBatch batch, int row) =>
        [.. Enumerable.Range(row * batch.MaxBest, batch.Best).Select(i => (batch.Tokens[i], batch.Scores[i]))];
}
