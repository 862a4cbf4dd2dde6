using System.Runtime.Intrinsics.X86;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

/// <summary>
/// More than the contract asks for: sixteen lanes do the same arithmetic whatever vectors carry them, so where multiply-adds are fused the
/// fast sets agree to the bit.
/// </summary>
public class SetsAgreeTests
{
    [Fact]
    public void All_fast_sets_give_the_same_bits()
    {
        if (!Fma.IsSupported && !System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported)
        {
            Assert.Equal(["portable"], Arena.FastNames);
            return;
        }

        float[]? expected = null;
        foreach (string set in Arena.FastNames)
        {
            float[] results = Run(set);
            expected ??= results;
            Assert.True(Arena.SameBits(expected, results), $"{set} differs from {Arena.FastNames[0]}");
        }
    }

    private static float[] Run(string set)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using Arena arena = new(11);
        const int Heads = 3;
        const int HeadDim = 24;
        const int Width = Heads * HeadDim;
        WeightMatrix qkvWeights = arena.Weights(kernels, DType.BF16, 3 * Width, Width, 0.2f);
        WeightMatrix gate = arena.Weights(kernels, DType.F16, 100, Width, 0.2f);
        WeightMatrix up = arena.Weights(kernels, DType.F16, 100, Width, 0.2f);
        WeightMatrix down = arena.Weights(kernels, DType.F32, 500, 100, 0.2f);
        Tensor weight = arena.Normal(1, Width);
        Tensor bias = arena.Normal(1, Width);
        Tensor x = arena.Normal(41, Width);
        Tensor normed = arena.Zeros(41, Width);
        Tensor qkv = arena.Zeros(41, 3 * Width);
        Tensor hidden = arena.Zeros(41, 100);
        Tensor logits = arena.Zeros(41, 500);
        KvLayer layer = arena.Cache(CacheType.BF16, Heads, HeadDim, 64);
        ForwardBatch batch = new(41, 1);
        for (int i = 0; i < 41; i++)
        {
            batch.Add(i, i);
        }

        RotaryParams rotary = new(arena.Normal(64, HeadDim / 2), arena.Normal(64, HeadDim / 2), HeadDim, weight with { Columns = HeadDim },
            bias with { Columns = HeadDim }, 1e-6f);
        kernels.LayerNorm(x, weight, bias, 1e-5f, normed);
        kernels.MatMul(qkvWeights, normed, qkv, new Epilogue(Activation: Activation.GeluTanh));
        kernels.StoreKeysValues(qkv, Heads, rotary, layer, batch);
        kernels.Attend(qkv.ColumnRange(0, Width), layer, new AttentionParams(Heads, Heads, HeadDim, 0.2f, 30), batch, x);
        kernels.RmsNorm(x, weight, 1e-5f, normed);
        kernels.GatedMatMul(gate, up, normed, hidden, Activation.Silu);
        kernels.MatMul(down, hidden, logits, default);
        DecisionBatch decision =
            new(41, 8, 1) { Rows = 41, Best = 8, Params = DecisionParams.Greedy with { Temperature = 0.9f, TopP = 0.95f } };
        kernels.Decide(logits, decision);
        return [.. Enumerable.Range(0, 41).SelectMany(row => logits.Floats(row).ToArray()), .. decision.Scores, .. decision.LogProbs];
    }
}
