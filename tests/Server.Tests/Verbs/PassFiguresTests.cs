using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Verbs.Bench;

namespace Understory.Server.Tests.Verbs;

public class PassFiguresTests
{
    [Fact]
    public void A_context_shorter_than_a_prefill_chunk_is_measured_as_far_as_it_goes()
    {
        using IKernels kernels = KernelCatalog.Create(threads: 1);
        using Transformer target = ModelLoader.Random("gpt2:64x1:256:20", kernels, seed: 1);
        PassFigures figures = PassFigures.Measure(target, null);
        Assert.Equal([1, 2, 3, 4, 6, 8, 12, 16], figures.Target.Keys);
        Assert.True(double.IsFinite(figures.PrefillFlops) && figures.PrefillFlops > 0);
    }
}
