using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>The experts of one layer, asked for in the way in which the checkpoint keeps them.</summary>
/// <param name="prefix">The layer's.</param>
/// <param name="epsilon">Of the norms around them.</param>
internal sealed class ExpertParts(string prefix, TensorNames all, int hidden, float epsilon, ExpertsPlan plan, WeightLoader loader)
{
    private readonly ExpertNames _names =
        Array.Find(all.Experts, names => Array.TrueForAll(names.Marks, mark => loader.Contains(prefix + mark))) ?? all.Experts[0];

    public ExpertWeights Load()
    {
        string router = prefix + _names.Router;
        WeightMatrix weight = loader.Matrix(new TensorPart(router + ".weight", plan.Count) { Widened = true }, hidden);
        bool together = _names.GateUp.Length > 0;
        int step = _names.Alternating ? 2 : 1;
        int up = _names.Alternating ? 1 : plan.Width;
        float[] scales = _names.Scales.Length > 0 ? loader.Values([new TensorPart(prefix + _names.Scales, plan.Count)]) : [];
        Tensor bias = plan.RouterBias ? loader.Vector([new TensorPart(router + ".bias", plan.Count)]) : default;
        return new ExpertWeights(
            new Projection(weight, bias),
            plan.SharedGate
                ? new Projection(loader.Matrix(new TensorPart(prefix + _names.SharedGate, 1) { Widened = true }, hidden)) : null,
            together ? Half(0, step) : Whole(_names.Gate, _names.GateBias, plan.Width, hidden),
            together ? Half(up, step) : Whole(_names.Up, _names.UpBias, plan.Width, hidden),
            Whole(_names.Down, _names.DownBias, hidden, plan.Width, scales),
            plan.Used)
        {
            RouterNorm = plan.OwnNorms ? Norm(_names.RouterNorm, 1 / MathF.Sqrt(hidden)) : default,
            NormBefore = plan.OwnNorms ? Norm(_names.NormBefore) : default,
            NormBehind = plan.OwnNorms ? Norm(_names.NormBehind) : default,
            SharedNormBehind = plan.OwnNorms ? Norm(_names.SharedNormBehind) : default,
        };
    }

    /// <param name="scale">The weights are multiplied by it.</param>
    private Norm Norm(string name, float scale = 1) =>
        new(NormKind.RmsNorm, loader.Vector([new TensorPart(prefix + name, hidden)], scale: scale), default, epsilon);

    /// <param name="scales">Of each expert's matrix; empty: 1.</param>
    private ExpertProjection Whole(string name, string bias, int outputs, int inputs, float[]? scales = null) => new(
        Matrices(name, new TensorPart("", outputs), inputs, scales ?? []),
        plan.Bias ? loader.Rows(prefix + bias, plan.Count, outputs, outputs) : default);

    /// <summary>Gate or up, where they are one tensor.</summary>
    private ExpertProjection Half(int first, int step) => new(
        Matrices(_names.GateUp, new TensorPart("", plan.Width, First: first, Of: 2 * plan.Width, Step: step), hidden, []),
        plan.Bias ? loader.Rows(prefix + _names.GateUpBias, plan.Count, 2 * plan.Width, plan.Width, first, step) : default);

    private WeightMatrix[] Matrices(string name, TensorPart part, int inputs, float[] scales)
    {
        bool ofAll = ExpertNames.IsOfAll(name);
        return [.. Enumerable.Range(0, plan.Count).Select(expert => loader.Matrix(
            part with
            {
                Name = prefix + ExpertNames.Of(name, expert),
                Stack = ofAll ? plan.Count : 0,
                Number = ofAll ? expert : 0,
                Transposed = _names.Transposed,
                Scale = scales.Length > 0 ? scales[expert] : 1,
                Expert = true,
            },
            inputs))];
    }
}
