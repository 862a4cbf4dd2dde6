using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

public class RoutingTests
{
    public static TheoryData<RouterScore, bool> Kinds => new()
    {
        { RouterScore.Softmax, true }, { RouterScore.Softmax, false }, { RouterScore.Sigmoid, true }, { RouterScore.Sigmoid, false },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_row_goes_to_the_experts_of_the_largest_logits_by_their_scores(RouterScore score, bool renormalised)
    {
        const int Experts = 37;
        using var arena = new Arena(3);
        using IKernels kernels = KernelCatalog.Create();
        Tensor logits = arena.Normal(50, Experts, 3);
        Tensor scales = arena.Normal(1, Experts);
        foreach (int used in (int[])[1, 5, Experts])
        {
            var routing = new Routing(64, 40, Experts);
            kernels.Route(logits, new RouterParams(used, score, renormalised, 2.5f, scales), routing);
            for (int row = 0; row < logits.Rows; row++)
            {
                float[] own = logits.Floats(row).ToArray();
                double[] scores = score == RouterScore.Sigmoid
                    ? [.. own.Select(logit => 1 / (1 + Math.Exp(-(double)logit)))]
                    : [.. own.Select(logit => Math.Exp(logit) / own.Sum(other => Math.Exp(other)))];
                int[] chosen = [.. Enumerable.Range(0, Experts).OrderByDescending(expert => own[expert]).Take(used).Order()];
                Assert.Equal(chosen, routing.Experts.AsSpan(row * used, used).ToArray());
                double sum = renormalised ? chosen.Sum(expert => scores[expert]) : 1;
                for (int i = 0; i < used; i++)
                {
                    double expected = scores[chosen[i]] / sum * 2.5 * scales.Floats(0)[chosen[i]];
                    Assert.Equal(expected, routing.Weights[(row * used) + i], Math.Abs(expected) * 1e-5);
                }
            }
        }
    }

    [Fact]
    public void Of_equal_logits_the_lowest_id_wins()
    {
        var routing = new Routing(1, 8, 3);
        routing.Begin(1, 3, 8);
        routing.Choose(0, [1, 2, 0, 2, 2, 1, 2, -1], new RouterParams(3, RouterScore.Softmax, true), []);
        Assert.Equal([1, 3, 4], routing.Experts);
        routing.Choose(0, [float.NegativeInfinity, -5, 7, -5, -5, -9, 7, -5], new RouterParams(3, RouterScore.Softmax, true), []);
        Assert.Equal([1, 2, 6], routing.Experts);
        routing.Choose(0, [0, 0, 0, 0, 0, 0, 0, 0], new RouterParams(3, RouterScore.Sigmoid, true), []);
        Assert.Equal([0, 1, 2], routing.Experts);
    }

    [Fact]
    public void Places_hold_each_expert_s_rows_in_order()
    {
        var random = new Random(5);
        var routing = new Routing(40, 16, 4);
        foreach ((int rows, int used, int experts) in ((int, int, int)[])[(40, 4, 16), (1, 2, 5), (7, 1, 3), (40, 3, 3)])
        {
            routing.Begin(rows, used, experts);
            for (int row = 0; row < rows; row++)
            {
                float[] logits = [.. Enumerable.Range(0, experts).Select(_ => random.NextSingle())];
                routing.Choose(row, logits, new RouterParams(used, RouterScore.Softmax, true), []);
            }

            routing.Gather();
            (int Expert, int Row)[] pairs =
                [.. Enumerable.Range(0, routing.Places).Select(pair => (routing.Experts[pair], pair / used)).Order()];
            Assert.Equal(pairs.Select(pair => pair.Row), routing.RowOf[..routing.Places]);
            for (int expert = 0; expert < experts; expert++)
            {
                Assert.Equal(pairs.Count(pair => pair.Expert < expert), routing.First[expert]);
            }

            Assert.Equal(routing.Places, routing.First[experts]);
            for (int pair = 0; pair < routing.Places; pair++)
            {
                Assert.Equal((routing.Experts[pair], pair / used), pairs[routing.PlaceOf[pair]]);
            }
        }
    }

    [Fact]
    public void A_row_that_is_no_number_stays_none()
    {
        var routing = new Routing(1, 4, 2);
        routing.Begin(1, 2, 4);
        routing.Choose(0, [float.NaN, float.NaN, float.NaN, float.NaN], new RouterParams(2, RouterScore.Softmax, true), []);
        Assert.All(routing.Weights, weight => Assert.True(float.IsNaN(weight)));
    }
}
