using System.Diagnostics;
using Understory.Models.Kernels.Cpu;

namespace Understory.Peer;

/// <summary>
/// The times of both engines' passes over the same tokens. Each round takes every figure in turn A B A B, so that both see the same minute
/// of the machine and each is also held against itself: the spread of that is what a ratio must exceed to mean anything.
/// </summary>
internal sealed class SpeedFigures
{
    /// <summary>Tokens before the rows of a pass.</summary>
    public const int Context = 128;

    public const int Prompt = 512;

    private const double TurnSeconds = 0.1;

    private readonly Series[][] _seconds;

    private SpeedFigures(int[] rows)
    {
        Rows = rows;
        // Rows, then the prefill; llama.cpp, ours, and both again.
        _seconds = [.. Enumerable.Range(0, rows.Length + 1).Select(_ => Enumerable.Range(0, 4).Select(_ => new Series()).ToArray())];
    }

    public int[] Rows { get; }

    /// <summary>Bytes per second of a bare read of as many bytes as a pass of ours reads, taken in every round.</summary>
    public Series ReadRates { get; } = new();

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
                        ? Prefill(turns[turn], tokens)
                        : Passes(turns[turn], tokens[Context..(Context + rows[figure])]);
                    if (round >= 0)
                    {
                        figures._seconds[figure][turn].Add(seconds);
                    }
                }
            }
        }

        return figures;
    }

    private static double Prefill(IEngine engine, int[] tokens)
    {
        Settle();
        engine.Forward(tokens.AsSpan(0, 8), 0, allLogits: false);
        return Time(() => engine.Forward(tokens.AsSpan(0, Prompt), 0, allLogits: false));
    }

    /// <summary>The median of the passes of one turn, whose first one is not counted.</summary>
    private static double Passes(IEngine engine, int[] rows)
    {
        Settle();
        double first = Time(() => engine.Forward(rows, Context, allLogits: true));
        var seconds = new Series();
        for (int pass = 0; pass < Math.Clamp((int)(TurnSeconds / first), 2, 20); pass++)
        {
            seconds.Add(Time(() => engine.Forward(rows, Context, allLogits: true)));
        }

        return seconds.Median;
    }

    /// <summary>The threads of both engines look for work for some milliseconds before they sleep.</summary>
    private static void Settle() => Thread.Sleep(20);

    private static double Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
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
