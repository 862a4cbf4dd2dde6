using Spectre.Console;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs;

/// <summary>
/// Writes an answer as it comes, on a terminal in the colours of the stages that proposed its tokens. What goes to a file or a pipe is the
/// text alone, byte for byte.
/// </summary>
internal sealed class StageWriter : IDisposable
{
    private const string Plain = "\e[0m";
    private readonly StreamWriter _output = new(Console.OpenStandardOutput()) { AutoFlush = true };

    /// <summary>Stages are told by colour; the request must then have <c>ReportTree</c>.</summary>
    public bool Coloured { get; } =
        !Console.IsOutputRedirected && AnsiConsole.Profile.Capabilities.Ansi
            && Environment.GetEnvironmentVariable("NO_COLOR") is null or "";

    /// <summary>Which colour is which, in those colours.</summary>
    public static string Legend =>
        string.Join("  ", new[] { Stage.Ngram, Stage.Draft }.Select(stage => $"{Colour(stage)}{stage.Name}{Plain}").Append("target"));

    public void Write(StepDone step)
    {
        if (Coloured && step.Speculation is { } told)
        {
            foreach (TokenPiece piece in told.Pieces)
            {
                _output.Write(Colour(piece.Stage));
                _output.Write(Harmless(piece.Text));
                _output.Write(Plain);
            }
        }
        else
        {
            _output.Write(Console.IsOutputRedirected ? step.Text : Harmless(step.Text));
        }
    }

    public void WriteLine() => _output.WriteLine();

    public void Dispose() => _output.Dispose();

    /// <summary>A model's text must not steer the terminal.</summary>
    private static string Harmless(string text) => text.Any(Steers) ? string.Concat(text.Select(c => Steers(c) ? '\uFFFD' : c)) : text;

    private static bool Steers(char c) => char.IsControl(c) && c is not ('\n' or '\t');

    private static string Colour(Stage stage) => stage.Colour < 0 ? "" : $"\e[38;5;{stage.Colour}m";
}
