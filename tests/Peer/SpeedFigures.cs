using System.Diagnostics;
using Understory.Models.Kernels.Cpu;

namespace Understory.Peer;

/// <summary>
/// The times of both engines' passes over the same tokens. Each round takes every figure in turn A B A B, so that both see the same minute
/// of the machine and each is also held against itself: the spread of that is what a ratio must exceed to mean anything. Passes during
/// which another process took a core count only where there are no others.
/// </summary>
internal sealed class SpeedFigures
{
    /// <summary>Tokens before the rows of a pass.</summary>
    public const int Context = 128;

    public const int Prompt = 512;

    private const double TurnSeconds = 0.1;

    /// <summary>Where other processes disturb passes, so many times as many are tried.</summary>
    private const int MostTries = 2;

    private readonly Series[][] _seconds;
    private int _turns;
    private int _disturbedTurns;

    private SpeedFigures(int[] rows)
    {
        Rows = rows;
        // Rows, then the prefill; llama.cpp, ours, and both again.
        _seconds = [.. Enumerable.Range(0, rows.Length + 1).Select(_ => Enumerable.Range(0, 4).Select(_ => new Series()).ToArray())];
    }

    public int[] Rows { get; }

    /// <summary>Bytes per second of a bare read of as many bytes as a pass of ours reads, taken in every round.</summary>
    public Series ReadRates { get; } = new();

    /// <summary>Share of turns in which other processes took a core in the midst of every pass.</summary>
    public double Disturbed => (double)_disturbedTurns / _turns;

    public Figure OfRows(int index) => new(_seconds[index]);

    public Figure OfPrefill => new(_seconds[^1]);

    public static SpeedFigures Run(IEngine peer, IEngine ours, int[] rows, int rounds)
    {
        var figures = new SpeedFigures(rows);
        int[] tokens = FidelityCheck.RandomTokens(Math.Max(Prompt, Context + rows.Max()), Math.Min(peer.Vocabulary, ours.Vocabulary));
        IEngine[] turns = [peer, ours, peer, ours];
        // Round -1 warms both up.
        for (int round = -1; round < rounds; round++)
        {
            if (round >= 0)
            {
                figures.ReadRates.Add(ReadLoop.BytesPerSecond(ours.WeightBytes));
            }

            for (int figure = figures._seconds.Length - 1; figure >= 0; figure--)
            {
                for (int turn = 0; turn < turns.Length; turn++)
                {
                    double seconds = figure == rows.Length
                        ? figures.Turn(turns[turn], tokens.AsMemory(0, Prompt), 0, allLogits: false)
                        : figures.Turn(turns[turn], tokens.AsMemory(Context, rows[figure]), Context, allLogits: true);
                    if (round >= 0)
                    {
                        figures._seconds[figure][turn].Add(seconds);
                    }
                }
            }
        }

        return figures;
    }

    /// <summary>The median of the passes of one turn, whose first one is not counted.</summary>
    private double Turn(IEngine engine, ReadOnlyMemory<int> rows, int start, bool allLogits)
    {
        // The threads of both engines look for work for some milliseconds before they sleep.
        Thread.Sleep(20);
        double first = Time(() => engine.Forward(rows.Span, start, allLogits)).Seconds;
        int wanted = Math.Clamp((int)(TurnSeconds / first), 2, 20);
        var calm = new Series();
        var disturbed = new Series();
        for (int pass = 0; calm.Count < wanted && pass < MostTries * wanted; pass++)
        {
            (double seconds, bool alone) = Time(() => engine.Forward(rows.Span, start, allLogits));
            (alone ? calm : disturbed).Add(seconds);
        }

        _turns++;
        _disturbedTurns += calm.Count == 0 ? 1 : 0;
        return calm.Count == 0 ? disturbed.Median : calm.Median;
    }

    private static (double Seconds, bool Alone) Time(Action action)
    {
        long before = Disturbance.Count();
        long start = Stopwatch.GetTimestamp();
        action();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return (seconds, Disturbance.Count() == before);
    }
}

/// <summary>One figure: the seconds of llama.cpp, ours, and both again, round by round.</summary>
internal sealed class Figure(Series[] turns)
{
    public Series Peer { get; } = turns[0].And(turns[2]);

    public Series Ours { get; } = turns[1].And(turns[3]);

    /// <summary>llama.cpp's time over ours, round by round.</summary>
    public Series Ratio { get; } = turns[0].Plus(turns[2]).Over(turns[1].Plus(turns[3]));

    /// <summary>Each engine's first time over its second, round by round.</summary>
    public Series Same { get; } = turns[0].Over(turns[2]).And(turns[1].Over(turns[3]));
}
