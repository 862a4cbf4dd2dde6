using System.CommandLine;
using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Verbs;

/// <summary><c>understory complete</c>: one prompt, its completion to stdout as it comes, the figures to stderr.</summary>
public static class CompleteVerb
{
    private static readonly Argument<string[]> Words = new("prompt")
    {
        Description = "The prompt; without one it is read from stdin.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private static readonly Option<int> MaxTokens = AnswerOptions.MaxTokens(128);
    private static readonly Option<float> TopP =
        new("--top-p") { Description = "Keep the most probable tokens up to this sum.", DefaultValueFactory = _ => 1, HelpName = "P" };
    private static readonly Option<string[]> Stop = new("--stop") { Description = "Text to stop at.", HelpName = "TEXT" };

    public static Command Create(CommandLine line)
    {
        var verb = new Command("complete", "Complete one prompt on the terminal.")
        {
            Words, MaxTokens, AnswerOptions.Temperature, AnswerOptions.TopK, TopP, AnswerOptions.Seed, Stop,
        };
        verb.SetAction((parsed, cancellation) =>
        {
            ServerOptions options = line.Read(parsed);
            string prompt = parsed.GetValue(Words) is { Length: > 0 } words ? string.Join(' ', words) : Console.In.ReadToEnd();
            return RunAsync(options, prompt, parsed.GetValue(MaxTokens), parsed.GetValue(Stop) ?? [], new SamplingParams
            {
                Temperature = parsed.GetValue(AnswerOptions.Temperature),
                TopK = parsed.GetValue(AnswerOptions.TopK),
                TopP = parsed.GetValue(TopP),
                Seed = parsed.GetValue(AnswerOptions.Seed),
            });
        });
        return verb;
    }

    private static async Task<int> RunAsync(ServerOptions options, string prompt, int maxTokens, string[] stop, SamplingParams sampling)
    {
        await using TerminalModel model = await TerminalModel.LoadAsync(options);
        ServedModel served = model.Served;
        try
        {
            sampling.Validate(served.Vocabulary);
            int[] tokens = PromptReader.Fit(served, PromptReader.Tokens(served, prompt), "prompt");
            using var writer = new StageWriter();
            ChoiceFinished? end = await model.AnswerAsync(
                new GenerationRequest
                {
                    Prompt = tokens,
                    Sampling = sampling,
                    MaxTokens = Math.Clamp(maxTokens, 0, served.Context - tokens.Length),
                    Stop = stop,
                    Speculation = options.Speculation,
                    ReportTree = writer.Coloured,
                },
                writer.Write);
            writer.WriteLine();
            Console.Error.WriteLine(end is null ? "stopped" : Figures(end));
            return CommandLine.Done;
        }
        catch (IOException)
        {
            // Whoever read stdout has read enough.
            return CommandLine.Done;
        }
        catch (Exception e) when (e is ApiException or ArgumentException)
        {
            throw new UsageException(e.Message);
        }
    }

    /// <summary>How fast an answer came, and what speculation gave.</summary>
    internal static string Figures(ChoiceFinished end)
    {
        double seconds = end.Statistics.PredictedMilliseconds / 1000;
        return $"{end.GeneratedTokens} tokens, {(seconds > 0 ? end.GeneratedTokens / seconds : 0):F0} tok/s, "
            + $"{(end.Statistics.TargetPasses > 0 ? (double)end.GeneratedTokens / end.Statistics.TargetPasses : 0):F2} tokens a batch, "
            + $"prompt {end.PromptTokens}{(end.CachedTokens > 0 ? $" ({end.CachedTokens} cached)" : "")} in "
            + $"{end.Statistics.PromptMilliseconds:F0} ms";
    }
}
