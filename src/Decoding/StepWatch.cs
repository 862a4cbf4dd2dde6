using System.Diagnostics;
using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Sampling;

namespace Understory.Decoding;

/// <summary>
/// Times a step. Finding masks of a constraint is no part of what a pass costs: the next one under the same states will not pay for it.
/// </summary>
internal struct StepWatch(TokenContext context)
{
    private readonly ConstraintMatcher? _matcher = context.Matcher;
    private readonly double _masksBefore = context.Matcher?.Seconds ?? 0;
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _verify;
    private double _masksBeforePass;

    /// <summary>Seconds of the target's pass, decision included.</summary>
    public double TargetSeconds { get; private set; }

    /// <summary>Seconds since the step began.</summary>
    public readonly double Seconds => Stopwatch.GetElapsedTime(_start).TotalSeconds;

    /// <summary>Seconds of the step that went into masks.</summary>
    public readonly double MaskSeconds => (_matcher?.Seconds ?? 0) - _masksBefore;

    public void Verifying()
    {
        _masksBeforePass = _matcher?.Seconds ?? 0;
        _verify = Stopwatch.GetTimestamp();
    }

    public void Verified() =>
        TargetSeconds = Stopwatch.GetElapsedTime(_verify).TotalSeconds - ((_matcher?.Seconds ?? 0) - _masksBeforePass);
}
