using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

public class TransformerTests
{
    public static TheoryData<string> KernelSets => [.. KernelCatalog.Available.Select(set => set.Name)];

    [Theory]
    [MemberData(nameof(KernelSets))]
    public void A_pass_allocates_nothing_once_warm(string kernelSet)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        foreach (string specification in (string[])["gpt2:64x2:96:64", "llama:64x2:96:64"])
        {
            using Transformer model = ModelLoader.Random(specification, kernels, 1);
            using KvCache cache = model.CreateCache(40);
            var batch = new ForwardBatch(16, 4);
            Pass(model, cache, batch);
            Pass(model, cache, batch);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 5; i++)
            {
                Pass(model, cache, batch);
            }

            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        }
    }

    [Fact]
    public void Rows_that_point_outside_are_refused_before_any_kernel_follows_them()
    {
        using IKernels kernels = KernelCatalog.Create("reference");
        using Transformer model = ModelLoader.Random("gpt2:64x1:96:32", kernels, 1, new LoadOptions(Context: 20));
        using KvCache cache = model.CreateCache(20, 4);
        AssertRefused(batch => batch.Add(96, 0));
        AssertRefused(batch => batch.Add(-1, 0));
        AssertRefused(batch => batch.Add(1, 20));
        AssertRefused(batch => batch.Add(1, -1));
        AssertRefused(batch => batch.Add(1, cache.Slots, 3, []));
        AssertRefused(batch => batch.Add(1, 5, 3, [cache.Slots]));
        AssertRefused(batch => batch.Add(1, 5, 3, [-1]));
        AssertRefused(batch => batch.FirstLogitsRow = 1);

        void AssertRefused(Action<ForwardBatch> fill)
        {
            var batch = new ForwardBatch(4, 4);
            fill(batch);
            Assert.ThrowsAny<ArgumentException>(() => model.Forward(batch, cache));
        }
    }

    [Fact]
    public void More_rows_than_the_transformer_was_made_for_are_refused()
    {
        using IKernels kernels = KernelCatalog.Create("reference");
        using Transformer model = ModelLoader.Random("gpt2:64x1:96:1024", kernels, 1);
        using KvCache cache = model.CreateCache(1024);
        var batch = new ForwardBatch(model.MaxRows + 1, 1);
        for (int i = 0; i <= model.MaxRows; i++)
        {
            batch.Add(1, i);
        }

        Assert.ThrowsAny<ArgumentException>(() => model.Forward(batch, cache));
    }

    [Fact]
    public void An_empty_batch_has_no_logits()
    {
        using IKernels kernels = KernelCatalog.Create("reference");
        using Transformer model = ModelLoader.Random("llama:64x1:96:32", kernels, 1);
        using KvCache cache = model.CreateCache(16);
        Assert.Equal(0, model.Forward(new ForwardBatch(4, 1), cache).Rows);
    }

    /// <summary>A few rows of text and a few of a tree.</summary>
    private static void Pass(Transformer model, KvCache cache, ForwardBatch batch)
    {
        batch.Clear();
        for (int i = 0; i < 9; i++)
        {
            batch.Add(i, i);
        }

        batch.Add(1, 20, 9, []);
        batch.Add(2, 25, 9, [20]);
        batch.Add(3, 22, 9, [20]);
        batch.FirstLogitsRow = 5;
        Tensor logits = model.Forward(batch, cache);
        if (logits.Rows != 7)
        {
            throw new InvalidOperationException("Seven rows of logits were asked for.");
        }
    }
}
