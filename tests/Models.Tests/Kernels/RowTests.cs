using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

public class RowTests
{
    public static TheoryData<string> Sets => Arena.FastSets;

    [Theory]
    [MemberData(nameof(Sets))]
    public void Norms_are_the_reference_s_at_odd_sizes_and_far_from_zero(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int columns in (int[])[1, 15, 16, 17, 100, 768])
        {
            foreach (float offset in (float[])[0, 100, -1e6f])
            {
                using Arena arena = new(columns);
                Tensor x = arena.Normal(3, columns, offset == 0 ? 1e-3f : 1);
                for (int row = 0; row < 3; row++)
                {
                    foreach (ref float value in x.Floats(row))
                    {
                        value += offset;
                    }
                }

                Tensor weight = arena.Normal(1, columns);
                Tensor bias = arena.Normal(1, columns);
                Tensor output = arena.Zeros(3, columns);
                Tensor expected = arena.Zeros(3, columns);
                kernels.LayerNorm(x, weight, bias, 1e-5f, output);
                reference.LayerNorm(x, weight, bias, 1e-5f, expected);
                double tolerance = Math.Abs(offset) > 1000 ? 0.3 : 1e-4;
                Assert.True(Arena.Difference(output, expected) < tolerance,
                    $"LayerNorm of {columns} at {offset}: {Arena.Difference(output, expected)}");
                kernels.RmsNorm(x, weight, 1e-5f, output);
                reference.RmsNorm(x, weight, 1e-5f, expected);
                Assert.True(Arena.Difference(output, expected) < 1e-6,
                    $"RmsNorm of {columns} at {offset}: {Arena.Difference(output, expected)}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Warm_operations_allocate_nothing(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using Arena arena = new();
        WeightMatrix weights = arena.Weights(kernels, DType.BF16, 300, 300);
        WeightMatrix up = arena.Weights(kernels, DType.BF16, 300, 300);
        KvLayer layer = arena.Cache(CacheType.BF16, 5, 20, 64);
        Tensor x = arena.Normal(30, 300);
        Tensor y = arena.Normal(30, 300);
        Tensor ones = arena.Normal(1, 300);
        Norm[] norms = [new(NormKind.LayerNorm, ones, ones, 1e-5f), new(NormKind.RmsNorm, ones, default, 1e-5f)];
        using ProductInput input = kernels.CreateInput(30, 300, [weights.Format]);
        using ProductInput output = kernels.CreateInput(30, 300, [weights.Format]);
        Projection projection = new(weights, ones);
        Projection upProjection = new(up);
        ForwardBatch batch = new(30, 4);
        for (int i = 0; i < 30; i++)
        {
            batch.Add(i, i);
        }

        DecisionBatch decision = new(30, 4, 4) { Rows = 30, Best = 4 };
        DecisionParams[] rules =
        [
            DecisionParams.Greedy,
            DecisionParams.Greedy with { Temperature = 1 },
            DecisionParams.Greedy with { Temperature = 1, TopK = 9, TopP = 0.9f, MinP = 0.01f },
            DecisionParams.Greedy with { Temperature = 1, TopP = 0.9f },
        ];
        Run();
        Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run()
        {
            kernels.Embed(weights, up, batch, x);
            kernels.Normalize(x, norms[0], input.Rows(0, 30));
            kernels.Multiply(new ProductSource(x, norms[1], input), projection, y);
            kernels.MultiplyAdd(input.Rows(0, 30), projection, y);
            kernels.MultiplyActivate(input.Rows(0, 30), projection, Activation.GeluTanh, output.Rows(0, 30));
            kernels.MultiplyGated(input.Rows(0, 30), projection, upProjection, Activation.Silu, output.Rows(0, 30));
            kernels.MultiplyGate(input.Rows(0, 30), projection, Activation.Sigmoid, output.Rows(0, 30));
            kernels.Normalize(y, norms[1]);
            kernels.NormalizeAdd(y, norms[1], x);
            kernels.Take(x, input.Rows(0, 30));
            kernels.Cap(y, 0.5f, 3);
            kernels.StoreKeysValues(x, 5, default, layer, batch);
            kernels.Attend(x.ColumnRange(0, 100), layer, new AttentionParams(5, 5, 20, 1, 0), batch, output.Rows(0, 30, 100));
            kernels.MoveSlots([layer], [9, 11], 8);
            foreach (DecisionParams rule in rules)
            {
                decision.Params = rule;
                kernels.Decide(y, decision);
            }
        }
    }

    [Fact]
    public void An_unknown_set_is_refused_with_the_names_of_those_there_are()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => KernelCatalog.Create("abacus"));
        Assert.Contains("abacus", error.Message, StringComparison.Ordinal);
        Assert.All(KernelCatalog.Available, set => Assert.Contains(set.Name, error.Message, StringComparison.Ordinal));
    }
}
