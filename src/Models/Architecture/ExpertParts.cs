using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>The experts of one layer, asked for in the way in which the checkpoint keeps them.</summary>
/// <param name="prefix">The layer's.</param>
internal sealed class ExpertParts(string prefix, TensorNames all, int hidden, ExpertsPlan plan, WeightLoader loader)
{
    private readonly ExpertNames _names =
        Array.Find(all.Experts, names => Array.TrueForAll(names.Marks, mark => loader.Contains(prefix + mark))) ?? all.Experts[0];

    public ExpertWeights Load()
    {
        string router = prefix + _names.Router;
        var weight = new TensorPart(router + ".weight", plan.Count) { Widened = true };
        bool together = _names.GateUp.Length > 0;
        int step = _names.Alternating ? 2 : 1;
        int up = _names.Alternating ? 1 : plan.Width;
        return new ExpertWeights(
            new Projection(loader.Matrix(weight, hidden), plan.RouterBias ? loader.Vector([new TensorPart(router + ".bias", plan.Count)]) : default),
            plan.SharedGate ? new Projection(loader.Matrix(new TensorPart(prefix + _names.SharedGate, 1) { Widened = true }, hidden)) : null,
            together ? Half(0, step) : Whole(_names.Gate, _names.GateBias, plan.Width, hidden),
            together ? Half(up, step) : Whole(_names.Up, _names.UpBias, plan.Width, hidden),
            Whole(_names.Down, _names.DownBias, hidden, plan.Width),
            plan.Used);
    }

    private ExpertProjection Whole(string name, string bias, int outputs, int inputs) => new(
        Matrices(name, new TensorPart("", outputs), inputs),
        plan.Bias ? loader.Rows(prefix + bias, plan.Count, outputs, outputs) : default);

    /// <summary>Gate or up, where they are one tensor.</summary>
    private ExpertProjection Half(int first, int step) => new(
        Matrices(_names.GateUp, new TensorPart("", plan.Width, First: first, Of: 2 * plan.Width, Step: step), hidden),
        plan.Bias ? loader.Rows(prefix + _names.GateUpBias, plan.Count, 2 * plan.Width, plan.Width, first, step) : default);

    private WeightMatrix[] Matrices(string name, TensorPart part, int inputs)
    {
        bool ofAll = ExpertNames.IsOfAll(name);
        return [.. Enumerable.Range(0, plan.Count).Select(expert => loader.Matrix(
            part with
            {
                Name = prefix + ExpertNames.Of(name, expert),
                Stack = ofAll ? plan.Count : 0,
                Number = ofAll ? expert : 0,
                Transposed = _names.Transposed,
                Expert = true,
            },
            inputs))];
    }
}
