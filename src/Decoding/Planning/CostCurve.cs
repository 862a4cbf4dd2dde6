namespace Understory.Decoding.Planning;

/// <summary>What passes of one model cost on some threads of one device, to be kept for the next start.</summary>
/// <param name="Seconds">By rows.</param>
/// <param name="ContextSlope">Seconds per row and per token of context that it reads.</param>
public sealed record CostCurve(IReadOnlyDictionary<int, double> Seconds, double ContextSlope)
{
    /// <summary>All numbers are such as a measurement gives: what a damaged file says is not believed.</summary>
    public bool IsSound => Seconds is { Count: > 0 } && Seconds.All(pair => pair.Key > 0 && double.IsFinite(pair.Value) && pair.Value > 0)
        && double.IsFinite(ContextSlope) && ContextSlope >= 0;
}

/// <summary>The curves of a target and its draft.</summary>
/// <param name="Draft">Null: there is no draft model.</param>
public sealed record CostCurves(CostCurve Target, CostCurve? Draft);
