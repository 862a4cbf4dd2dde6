using Understory.Models.Tensors;

namespace Understory.Peer;

/// <summary><c>types</c>: a Markdown table of fidelity and speed of every type of weights that llama.cpp can make.</summary>
internal static class TypesReport
{
    private static readonly int[] _rows = [1, 4, 8];

    /// <returns>Whether fidelity holds for every type.</returns>
    public static bool Write(Shape shape, string[] types, int tokens, int rounds)
    {
        bool holds = true;
        string path = Path.Combine(Path.GetTempPath(), $"peer-{Environment.ProcessId}.gguf");
        string plain = path + ".f16";
        Console.WriteLine(
            $"{shape.Layers} layers x {shape.Width}, {shape.Parameters / 1e6:F0} M weights; {tokens} positions; "
            + $"{Environment.ProcessorCount} threads each");
        Console.WriteLine($"llama.cpp: {LlamaCppEngine.SystemInfo}");
        Console.WriteLine();
        string[] titles =
        [
            "type", "bits", "KL", "llama.cpp", "ratio", "top 1, %", "llama.cpp", "ms at 1, 4, 8 rows", "llama.cpp", "ratio",
            "the same twice", "disturbed",
        ];
        Console.WriteLine($"| {string.Join(" | ", titles)} |");
        Console.WriteLine($"|{string.Concat(titles.Select(_ => " --- |"))}");
        try
        {
            RandomModel.Write(plain, shape, "F16");
            foreach (WeightFormat type in Quantiser.Types.Values.Where(type => types.Length == 0 || types.Contains(type.Name)))
            {
                Quantiser.Quantise(plain, path, shape, type.Name, pure: true);
                holds &= Line(type, shape, path, tokens, rounds);
            }
        }
        finally
        {
            File.Delete(plain);
            File.Delete(path);
        }

        return holds;
    }

    private static bool Line(WeightFormat type, Shape shape, string path, int tokens, int rounds)
    {
        FidelityCheck check = FidelityCheck.Run(path, FidelityCheck.RandomTokens(tokens, shape.Vocabulary));
        using LlamaCppEngine peer = LlamaCppEngine.Load(path, 512);
        using UnderstoryEngine ours = UnderstoryEngine.Load(path, 512);
        SpeedFigures figures = SpeedFigures.Run(peer, ours, _rows, rounds);
        Figure[] passes = [.. _rows.Select((_, i) => figures.OfRows(i))];
        Console.WriteLine(
            $"| {type} | {8.0 * type.BlockBytes / type.BlockElements:F2} "
            + $"| {check.Ours.MeanKl:E2} | {check.Peer.MeanKl:E2} | {check.Ratio:F2}{(check.Holds ? "" : " (!)")} "
            + $"| {100 * check.Ours.TopOne:F1} | {100 * check.Peer.TopOne:F1} "
            + $"| {Join(passes, pass => pass.Ours.Median * 1e3)} | {Join(passes, pass => pass.Peer.Median * 1e3)} "
            + $"| {Join(passes, pass => pass.Ratio.Median)} "
            + $"| {passes.Min(pass => pass.Same.Spread.Low):F2} .. {passes.Max(pass => pass.Same.Spread.High):F2} "
            + $"| {figures.Disturbed:P0} |");
        return check.Holds;
    }

    private static string Join(Figure[] passes, Func<Figure, double> value) =>
        string.Join(" / ", passes.Select(pass => value(pass).ToString("F2")));
}
