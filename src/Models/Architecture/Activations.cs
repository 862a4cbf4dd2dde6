using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>What a pass writes between weights, allocated once for the largest batch. Strides are multiples of 16 elements.</summary>
internal sealed class Activations : IDisposable
{
    private readonly MemoryBlock _block;

    /// <param name="maxRows">Null: as many as the kernels deem worth the memory.</param>
    public Activations(ModelConfig config, Weights weights, IKernels kernels, int? maxRows)
    {
        int qkv = config.Layers.Max(layer => layer.ProjectedSize);
        int attended = config.Layers.Max(layer => layer.MixedSize);
        // There is none where all layers have experts alone.
        int width = Math.Max(Math.Max(1, config.Layers.Max(layer => layer.Mlp.Width)), config.PerLayer?.Width ?? 0);
        bool branches = config.PerLayer is not null || config.Layers.Any(layer => layer.NormBehind || layer.Mlp.Experts is not null);
        int branch = branches ? config.HiddenSize : 0;
        int perLayer = config.Layers.Count * (config.PerLayer?.Width ?? 0);
        int[] floats = [config.HiddenSize, qkv, config.LogitsSize, branch, perLayer, perLayer];
        int[] inputs = [config.HiddenSize, config.HiddenSize, attended, width];
        int rows = maxRows ?? kernels.WidestPass(
            floats.Concat(inputs).Sum(columns => (long)Stride(columns) * sizeof(float)) + ExpertActivations.BytesPerRow(config));
        _block = kernels.Allocate(floats.Sum(columns => (long)Stride(columns) * sizeof(float)) * rows);
        long offset = 0;
        (Residual, Qkv, Logits, Branch) =
            (View(config.HiddenSize), View(qkv), View(config.LogitsSize), View(branch));
        (PerLayer, PerLayerProjected) = (View(perLayer), View(perLayer));
        Normed = kernels.CreateInput(rows, config.HiddenSize,
            Formats([.. weights.Layers.SelectMany(layer => layer.ReadNormed), .. weights.PerLayer?.Projection.Parts ?? []]));
        Attended = kernels.CreateInput(rows, attended, Formats(weights.Layers.SelectMany(layer => layer.AttentionOutput.Parts)));
        Intermediate = kernels.CreateInput(rows, width, Formats(weights.Layers.SelectMany(layer => layer.ReadIntermediate)));
        Experts = ExpertActivations.BytesPerRow(config) > 0 ? new ExpertActivations(config, weights, kernels, rows) : null;
        Final = kernels.CreateInput(rows, config.HiddenSize, Formats(weights.Head.Parts));

        Tensor View(int columns)
        {
            Tensor view = _block.View(DType.F32, rows, columns, Stride(columns), offset);
            offset += (long)Stride(columns) * rows * sizeof(float);
            return view;
        }
    }

    /// <summary>F32 <c>[rows, hidden]</c>: the residual stream.</summary>
    public Tensor Residual { get; }

    /// <summary>F32 <c>[rows, widest ProjectedSize]</c></summary>
    public Tensor Qkv { get; }

    /// <summary>F32 <c>[rows, LogitsSize]</c></summary>
    public Tensor Logits { get; }

    /// <summary>F32 <c>[rows, hidden]</c>: a branch before its norm, or a sum of experts; empty where no layer has such.</summary>
    public Tensor Branch { get; }

    /// <summary>F32 <c>[rows, layers * width]</c>: the layers' own inputs, side by side; empty where they have none.</summary>
    public Tensor PerLayer { get; }

    /// <summary>As <see cref="PerLayer"/>: what is projected from the embedding, before its norm.</summary>
    public Tensor PerLayerProjected { get; }

    /// <summary><c>[rows, hidden]</c></summary>
    public ProductInput Normed { get; }

    /// <summary><c>[rows, widest MixedSize]</c></summary>
    public ProductInput Attended { get; }

    /// <summary><c>[rows, widest MLP or layer's own input]</c></summary>
    public ProductInput Intermediate { get; }

    /// <summary><c>[rows, hidden]</c>: behind the last norm, rows whose logits are wanted.</summary>
    public ProductInput Final { get; }

    /// <summary>Null where no layer has experts.</summary>
    public ExpertActivations? Experts { get; }

    public void Dispose()
    {
        Experts?.Dispose();
        Normed.Dispose();
        Attended.Dispose();
        Intermediate.Dispose();
        Final.Dispose();
        _block.Dispose();
    }

    internal static int Stride(int columns) => (columns + 15) / 16 * 16;

    internal static WeightFormat[] Formats(IEnumerable<WeightMatrix> matrices) => [.. matrices.Select(matrix => matrix.Format).Distinct()];
}
