namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>A clock that stands still unless it is told.</summary>
internal sealed class ScriptedClock : TimeProvider
{
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond * 1000;

    public override long GetTimestamp() => _ticks;

    public void Pass(double seconds) => _ticks += (long)(seconds * TimestampFrequency);
}
