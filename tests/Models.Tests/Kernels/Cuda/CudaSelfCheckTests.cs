using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Kernels.Cuda.Driver;
using Understory.PtxEmulator;

namespace Understory.Models.Tests.Kernels.Cuda;

public class CudaSelfCheckTests
{
    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    public void A_sound_device_passes(int major)
    {
        using CudaKernels kernels = new(new EmulatedDriver(major));
        Assert.Null(CudaSelfCheck.Run(kernels));
    }

    [Theory]
    [InlineData("max.f32", "min.f32", "attention|decision|product")]
    [InlineData("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32",
        "the F16 product")]
    public void A_device_that_computes_wrongly_is_found_out(string opcode, string taken, string found)
    {
        // Its compiler takes one instruction for another.
        using CudaKernels kernels = new(new EmulatedDriver { Mistake = text => text.Replace(opcode, taken, StringComparison.Ordinal) });
        Assert.Matches(found, Assert.IsType<string>(CudaSelfCheck.Run(kernels)));
    }

    [Fact]
    public void An_old_device_is_refused_by_name()
    {
        CudaException error = Assert.Throws<CudaException>(() => new CudaKernels(new EmulatedDriver(7)));
        Assert.Contains("compute capability 7.0", error.Message, StringComparison.Ordinal);
    }

    [CudaAbsentFact]
    public void Without_a_driver_the_reason_is_said()
    {
        Assert.Null(KernelCatalog.TryCreateCuda(0, out string reason));
        Assert.Contains("NVIDIA driver", reason, StringComparison.Ordinal);
        ArgumentException error = Assert.Throws<ArgumentException>(() => KernelCatalog.Create("cuda:1"));
        Assert.Contains("NVIDIA driver", error.Message, StringComparison.Ordinal);
    }

    /// <summary>Runs where the machine has no NVIDIA driver.</summary>
    private sealed class CudaAbsentFactAttribute : FactAttribute
    {
        public CudaAbsentFactAttribute()
        {
            if (System.Runtime.InteropServices.NativeLibrary.TryLoad("libcuda.so.1", out _))
            {
                Skip = "This machine has an NVIDIA driver.";
            }
        }
    }
}
