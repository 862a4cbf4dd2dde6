using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// What a pass writes between weights, allocated once for the largest batch: F32, but for the inputs of products, which may be of the type that
/// the kernels multiply. Strides are multiples of 16 elements.
/// </summary>
internal sealed class Activations : IDisposable
{
    private readonly MemoryBlock _block;

    /// <param name="input">Type of the inputs of products.</param>
    /// <param name="maxRows">Null: as many as the kernels deem worth the memory.</param>
    public Activations(ModelConfig config, IKernels kernels, DType input, int? maxRows)
    {
        int[] columns = [config.HiddenSize, config.HiddenSize, config.QkvSize, config.QuerySize, config.IntermediateSize, config.VocabularySize];
        DType[] types = [DType.F32, input, DType.F32, input, input, DType.F32];
        int[] strides = Array.ConvertAll(columns, count => (count + 15) / 16 * 16);
        long bytesPerRow = strides.Sum(stride => (long)stride * sizeof(float));
        int rows = maxRows ?? kernels.WidestPass(bytesPerRow);
        _block = kernels.Allocate(bytesPerRow * rows);
        long offset = 0;
        Tensor[] views = new Tensor[columns.Length];
        for (int i = 0; i < views.Length; i++)
        {
            views[i] = _block.View(types[i], rows, columns[i], strides[i], offset);
            offset += (long)strides[i] * rows * sizeof(float);
        }

        (Residual, Normed, Qkv, Attended, Intermediate, Logits) = (views[0], views[1], views[2], views[3], views[4], views[5]);
    }

    /// <summary><c>[rows, hidden]</c>: the residual stream.</summary>
    public Tensor Residual { get; }

    /// <summary><c>[rows, hidden]</c></summary>
    public Tensor Normed { get; }

    /// <summary><c>[rows, QkvSize]</c></summary>
    public Tensor Qkv { get; }

    /// <summary><c>[rows, QuerySize]</c></summary>
    public Tensor Attended { get; }

    /// <summary><c>[rows, intermediate]</c></summary>
    public Tensor Intermediate { get; }

    /// <summary><c>[rows, vocabulary]</c></summary>
    public Tensor Logits { get; }

    public void Dispose() => _block.Dispose();
}
