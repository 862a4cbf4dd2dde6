using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;

namespace Understory.PtxEmulator;

/// <summary>The CUDA kernels on an emulated device.</summary>
public static class EmulatedCuda
{
    /// <param name="major">Compute capability, 8 or 9.</param>
    public static IKernels Create(int major = 8) => new CudaKernels(new EmulatedDriver(major));
}
