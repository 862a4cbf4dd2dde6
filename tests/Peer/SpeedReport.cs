using System.Diagnostics;
using LLama.Native;

namespace Understory.Peer;

/// <summary><c>speed</c>: a Markdown table of both engines' times on one file.</summary>
internal static class SpeedReport
{
    private const int Tokens = 1024;

    public static void Write(string path, int[] rows, int rounds)
    {
        string name = Path.GetFileName(path);
        Console.WriteLine($"{name}, {new FileInfo(path).Length / 1e6:F0} MB; {Environment.ProcessorCount} threads each; {rounds} rounds");
        Console.WriteLine($"llama.cpp: {LlamaCppEngine.SystemInfo}");
        Console.WriteLine();
        long before = Memory.Resident();
        using UnderstoryEngine ours = UnderstoryEngine.Load(path, Tokens);
        ours.Forward([1], 0, allLogits: true);
        long own = Memory.Resident() - before;
        before += own;
        using LlamaCppEngine peer = LlamaCppEngine.Load(path, Tokens);
        peer.Forward([1], 0, allLogits: true);
        long others = Memory.Resident() - before;
        SpeedFigures figures = SpeedFigures.Run(peer, ours, rows, rounds);
        Console.WriteLine($"| ms | {peer.Name} | {ours.Name} | ratio | the same engine twice |");
        Console.WriteLine("| --- | --- | --- | --- | --- |");
        for (int i = 0; i < rows.Length; i++)
        {
            Line(rows[i] == 1 ? "1 row" : $"{rows[i]} rows", figures.OfRows(i), "F2");
        }

        Line($"prefill of {SpeedFigures.Prompt}", figures.OfPrefill, "F0");
        Loads(path);
        Console.WriteLine($"| resident after a load, MB | {others / 1e6:F0} | {own / 1e6:F0} | {(double)others / own:F2} | |");
        if (rows.IndexOf(1) is var one and >= 0)
        {
            Figure figure = figures.OfRows(one);
            (double ownShare, double peerShare) = (Share(ours, figure.Ours), Share(peer, figure.Peer));
            Console.WriteLine();
            Console.WriteLine(
                $"A bare read of memory: {figures.ReadRates.Text(1e-9, "F1")} GB/s. One row reaches {ownShare:P0} of it "
                + $"by {ours.WeightBytes / 1e6:F0} MB as packed; llama.cpp {peerShare:P0} by {peer.WeightBytes / 1e6:F0} MB of its file.");
        }

        Console.WriteLine($"Other processes disturbed {figures.Disturbed:P0} of the turns.");

        double Share(IEngine engine, Series seconds) => engine.WeightBytes / seconds.Median / figures.ReadRates.Median;
    }

    private static void Line(string name, Figure figure, string format) => Console.WriteLine(
        $"| {name} | {figure.Peer.Text(1e3, format)} | {figure.Ours.Text(1e3, format)} | {figure.Ratio.Text(1, "F2")} "
        + $"| {figure.Same.Spread.Low:F2} .. {figure.Same.Spread.High:F2} |");

    /// <summary>
    /// Loads in turn, the file in the page cache; llama.cpp maps the file, as it does unless told otherwise, so a load counts up to the
    /// first logits.
    /// </summary>
    private static void Loads(string path)
    {
        Series[] turns = [.. Enumerable.Range(0, 4).Select(_ => new Series())];
        for (int round = 0; round < 3; round++)
        {
            for (int turn = 0; turn < turns.Length; turn++)
            {
                long start = Stopwatch.GetTimestamp();
                using IEngine engine = turn % 2 == 0
                    ? LlamaCppEngine.Load(path, Tokens, LLamaLoadMode.MemoryMap)
                    : UnderstoryEngine.Load(path, Tokens);
                engine.Forward([1], 0, allLogits: true);
                turns[turn].Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }
        }

        Line("load and one row", new Figure(turns), "F0");
    }
}
