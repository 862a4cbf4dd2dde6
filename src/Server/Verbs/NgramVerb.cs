using System.CommandLine;
using Spectre.Console;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs;

/// <summary>
/// <c>understory ngram</c>: counts a trigram over text that the draft model samples at T = 1.5 (as in the paper, so that it has seen
/// what the draft says outside the beaten path too). Interrupted, it goes on where it was; the same seed gives the same file.
/// </summary>
public static class NgramVerb
{
    private static readonly Option<string> Out =
        new("--out") { Description = "The file to make.", DefaultValueFactory = _ => "draft.ngram", HelpName = "FILE" };
    private static readonly Option<long> Tokens =
        new("--tokens") { Description = "Tokens to sample.", DefaultValueFactory = _ => 20_000_000, HelpName = "N" };
    private static readonly Option<int> Length =
        new("--length") { Description = "Tokens of one sample.", DefaultValueFactory = _ => 256, HelpName = "N" };
    private static readonly Option<float> Temperature =
        new("--temperature") { Description = "Of the sampling.", DefaultValueFactory = _ => 1.5f, HelpName = "T" };
    private static readonly Option<ulong> Seed =
        new("--seed") { Description = "Of the sampling.", DefaultValueFactory = _ => 1, HelpName = "N" };
    private static readonly Option<long> MaxBytes =
        new("--max-bytes") { Description = "Prune the file to this size.", DefaultValueFactory = _ => 1_572_864, HelpName = "N" };

    public static Command Create(CommandLine line)
    {
        var verb = new Command("ngram", "Build the n-gram file of a draft model from its own samples.") { Out, Tokens, Length, Temperature,
            Seed, MaxBytes };
        verb.SetAction((parsed, cancellation) =>
        {
            ServerOptions options = line.Read(parsed);
            string path = options.Draft ?? DemoBundle.Draft;
            if (!Path.Exists(path))
            {
                throw new StartupException(options.Draft is null
                    ? $"The draft model that comes with the program is not at {path}; put it back, or name another one by "
                        + $"{OptionCatalog.Draft.Flag}."
                    : $"{options.SaidBy(OptionCatalog.Draft)}: there is no '{path}'.");
            }

            try
            {
                Build(path, options, parsed, cancellation);
                return Task.FromResult(CommandLine.Done);
            }
            catch (OperationCanceledException)
            {
                Console.Error.WriteLine("Stopped; what was counted is kept. The same command goes on from there.");
                return Task.FromResult(CommandLine.Failed);
            }
            catch (Exception e) when (e is ModelLoadException or InvalidDataException or IOException or UnauthorizedAccessException)
            {
                throw new StartupException(e.Message, e);
            }
        });
        return verb;
    }

    private static void Build(string path, ServerOptions options, ParseResult parsed, CancellationToken cancellation)
    {
        string output = parsed.GetValue(Out)!;
        string unfinished = output + ".counts";
        using IKernels kernels = KernelCatalog.Create(threads: options.Threads ?? 0);
        using LanguageModel draft = ModelLoader.Load(path, kernels, new LoadOptions());
        int start = draft.Tokenizer.BosId ?? draft.Tokenizer.EosId ?? draft.Config.BosTokenId
            ?? throw new StartupException($"'{path}' names no token that a text begins with (bos_token_id).");
        using var sampler = new DraftSampler(draft, start, parsed.GetValue(Length), parsed.GetValue(Temperature));
        int samples = (int)Math.Max(1, parsed.GetValue(Tokens) / parsed.GetValue(Length));
        var builder = new NgramBuilder(sampler, draft.Config.VocabularySize, draft.Tokenizer.Fingerprint) { SaveEvery = 2048 };
        NgramCounts counts = null!;
        AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask("sampling", maxValue: samples);
                counts = builder.Run(parsed.GetValue(Seed), samples, unfinished, new Report(task), cancellation);
            });
        NgramModel model = NgramModel.Build(counts, new NgramBuildOptions { MaxBytes = parsed.GetValue(MaxBytes) });
        model.Save(output);
        File.Delete(unfinished);
        Console.WriteLine($"{output}: {model.Bytes:N0} bytes, {model.BigramCount:N0} pairs and {model.TrigramCount:N0} triples of "
            + $"{counts.Tokens:N0} tokens.");
    }

    /// <summary>Told on the sampling thread, after every sample; <see cref="Progress{T}"/> would post each to the pool.</summary>
    private sealed class Report(ProgressTask task) : IProgress<NgramBuildProgress>
    {
        void IProgress<NgramBuildProgress>.Report(NgramBuildProgress value) => task.Value = value.Samples;
    }
}
