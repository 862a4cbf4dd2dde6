using System.Diagnostics;

namespace Understory.Benchmarks;

/// <summary>Time by kind of operation; costs nothing but a test while it is off.</summary>
internal sealed class Clock
{
    public static readonly string[] Names = ["embed", "norm", "qkv", "store", "attend", "output", "up", "down", "head"];

    private readonly long[] _ticks = new long[Names.Length];
    private long _last;

    public bool On { get; set; }

    public void Start()
    {
        if (On)
        {
            _last = Stopwatch.GetTimestamp();
        }
    }

    public void Stop(int kind)
    {
        if (On)
        {
            long now = Stopwatch.GetTimestamp();
            _ticks[kind] += now - _last;
            _last = now;
        }
    }

    public double Microseconds(int kind, int passes) => _ticks[kind] * 1e6 / Stopwatch.Frequency / passes;
}
