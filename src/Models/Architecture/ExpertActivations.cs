using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>What the experts of a layer write during a pass; a place is a row and one of its experts.</summary>
internal sealed class ExpertActivations : IDisposable
{
    private readonly MemoryBlock _block;

    public ExpertActivations(ModelConfig config, Weights weights, IKernels kernels, int rows)
    {
        (int experts, int used, int width) = Largest(config);
        ExpertWeights[] layers = [.. weights.Layers.Select(layer => layer.Experts).OfType<ExpertWeights>()];
        int places = checked(rows * used);
        int[] columns = [experts, 1, config.HiddenSize];
        int[] counts = [rows, rows, places];
        long[] bytes = [.. columns.Zip(counts, (wide, count) => (long)Activations.Stride(wide) * count * sizeof(float))];
        _block = kernels.Allocate(bytes.Sum());
        Logits = _block.View(DType.F32, rows, experts, Activations.Stride(experts));
        Gates = _block.View(DType.F32, rows, 1, Activations.Stride(1), bytes[0]);
        Outputs = _block.View(DType.F32, places, config.HiddenSize, Activations.Stride(config.HiddenSize), bytes[0] + bytes[1]);
        Gathered = kernels.CreateInput(
            places, config.HiddenSize, Activations.Formats(layers.SelectMany(layer => layer.Gate.Matrices.Concat(layer.Up.Matrices))));
        Intermediate = kernels.CreateInput(places, width, Activations.Formats(layers.SelectMany(layer => layer.Down.Matrices)));
        Routing = new Routing(rows, experts, used);
    }

    /// <summary>F32 <c>[rows, most experts]</c></summary>
    public Tensor Logits { get; }

    /// <summary>F32 <c>[rows, 1]</c>: of the blocks beside.</summary>
    public Tensor Gates { get; }

    /// <summary>F32 <c>[places, hidden]</c></summary>
    public Tensor Outputs { get; }

    /// <summary><c>[places, hidden]</c>: rows by place.</summary>
    public ProductInput Gathered { get; }

    /// <summary><c>[places, widest expert]</c></summary>
    public ProductInput Intermediate { get; }

    /// <summary>Of the layer at hand.</summary>
    public Routing Routing { get; }

    /// <summary>Bytes that a row takes, as F32; 0 where no layer has experts.</summary>
    public static long BytesPerRow(ModelConfig config)
    {
        (int experts, int used, int width) = Largest(config);
        return sizeof(float) * (experts + ((long)used * ((2 * config.HiddenSize) + width)));
    }

    public void Dispose()
    {
        Gathered.Dispose();
        Intermediate.Dispose();
        _block.Dispose();
    }

    private static (int Experts, int Used, int Width) Largest(ModelConfig config)
    {
        ExpertsPlan[] plans = [.. config.Layers.Select(layer => layer.Mlp.Experts).OfType<ExpertsPlan>()];
        return plans.Length == 0 ? default : (plans.Max(plan => plan.Count), plans.Max(plan => plan.Used), plans.Max(plan => plan.Width));
    }
}
