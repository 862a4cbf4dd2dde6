namespace Understory.Models.Kernels.Cuda.Driver;

/// <summary>A call of the CUDA driver failed.</summary>
public sealed class CudaException(string call, int code, string message) : IOException(message)
{
    /// <summary>The driver's function.</summary>
    public string Call { get; } = call;

    /// <summary>A CUresult.</summary>
    public int Code { get; } = code;

    /// <summary>CUDA_ERROR_OUT_OF_MEMORY.</summary>
    public bool OutOfMemory => Code == 2;
}
