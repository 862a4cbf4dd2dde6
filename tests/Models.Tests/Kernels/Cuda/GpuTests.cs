using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tests.Architecture;

namespace Understory.Models.Tests.Kernels.Cuda;

/// <summary>The CUDA kernels on this machine's own device; skipped, with the reason, where it has none. tests/Gpu measures more.</summary>
public class GpuTests
{
    [GpuFact]
    public void The_device_passes_the_check_and_gives_the_logits_of_the_independent_implementation()
    {
        using IKernels kernels = KernelCatalog.Create("cuda");
        foreach (string checkpoint in (string[])["gpt2", "llama-bf16", "qwen2-f16", "mistral-window", "qwen3-norm"])
        {
            var golden = Golden.Read(checkpoint);
            using Transformer model = golden.Load(kernels, CacheType.F32);
            double error = Runs.RelativeError(model.Logits(golden.Ids), golden.Logits);
            Assert.True(error < (checkpoint is "llama-bf16" or "qwen2-f16" ? 2e-2 : 1e-4), $"{checkpoint}: {error:E2}");
        }
    }

    [GpuFact]
    public void Every_width_of_a_pass_gives_the_same_bits()
    {
        using IKernels kernels = KernelCatalog.Create("cuda");
        using Transformer model = ModelLoader.Random("gpt2:640x3:5003:512", kernels, 3);
        var random = new Random(1);
        int[] tokens = [.. Enumerable.Range(0, 300).Select(_ => random.Next(5003))];
        float[][] expected = model.Logits(tokens, 256);
        foreach (int chunk in (int[])[1, 2, 7, 8, 9, 16, 24, 33, 48, 64, 65, 128])
        {
            CudaModelTests.AssertSameBits(expected, model.Logits(tokens, chunk), $"chunks of {chunk}");
        }
    }

    /// <summary>Skipped without a CUDA device that these kernels run on.</summary>
    private sealed class GpuFactAttribute : FactAttribute
    {
        private static readonly Lazy<string?> _reason = new(() =>
        {
            using IKernels? kernels = KernelCatalog.TryCreateCuda(0, out string description);
            return kernels is null ? description : null;
        });

        public GpuFactAttribute()
        {
            if (_reason.Value is { } reason)
            {
                Skip = $"No CUDA device: {reason}.";
            }
        }
    }
}
