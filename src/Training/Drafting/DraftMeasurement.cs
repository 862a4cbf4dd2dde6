using System.Diagnostics;
using System.Text.Json.Serialization;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Server.Verbs.Bench;

namespace Understory.Training.Drafting;

/// <summary>What a set of drafters attains on held-out texts, as <c>bench</c> measures it.</summary>
/// <param name="ByPrompt">What the server would do with these drafters, in times <c>off</c>, prompt by prompt.</param>
/// <param name="Modes">Speed and acceptance by mode.</param>
/// <param name="Equal">All modes gave the same text.</param>
internal sealed record Measured(string Name, IReadOnlyList<double> ByPrompt, IReadOnlyDictionary<string, ModeResult> Modes, bool Equal)
{
    /// <summary>The median of <see cref="ByPrompt"/>.</summary>
    [JsonIgnore]
    public double Auto => Modes["auto"].Speedup;

    /// <summary>Of what the draft proposed, percent that the target took; NaN without a draft.</summary>
    [JsonIgnore]
    public double Acceptance => Modes.TryGetValue("chain", out ModeResult? chain)
        ? 100.0 * chain.Stages[1].Accepted / Math.Max(1, chain.Stages[1].Proposed) : double.NaN;
}

/// <summary>The measurements and what follows from them.</summary>
/// <param name="Install">Which of <paramref name="All"/> to install; null: none is faster than what there is.</param>
internal sealed record DraftVerdict(IReadOnlyList<Measured> All, string? Install)
{
    /// <summary>What lay beside the target then (<see cref="Files.FileState"/>); beside anything else it says nothing.</summary>
    public string Beside { get; init; } = "";
}

/// <summary>Runs the same prompts with the target alone, with the n-gram, and with draft and n-gram.</summary>
internal static class DraftMeasurement
{
    public const string Alone = "without a draft";
    public const string Installed = "with what is installed";
    public const string Ngram = "n-gram alone";
    public const string Draft = "draft and n-gram";
    private const int MaxTokens = 64;

    /// <summary>Chosen: what two equal runs may differ by on a quiet machine.</summary>
    private const double Noise = 1.02;

    /// <summary>Chosen: with fewer, which is faster is a matter of luck.</summary>
    private const int FewestPrompts = 6;

    /// <summary>Of the prompts: what five of six are, and of no difference one in nine.</summary>
    private const double MostPrompts = 0.75;

    /// <param name="installed">What lies beside the target already; null: nothing.</param>
    /// <param name="prompts">Token ids.</param>
    /// <param name="seconds">For all of it; six prompts are run however long they take.</param>
    public static DraftVerdict Run(LanguageModel target, LanguageModel draft, NgramModel ngram,
        (LanguageModel? Draft, NgramModel? Ngram)? installed, IReadOnlyList<int[]> prompts, double seconds, Action<double> progress)
    {
        (string Name, LanguageModel? Draft, NgramModel? Ngram)[] sets =
        [
            (Alone, null, null), (Ngram, null, ngram), (Draft, draft, ngram),
            .. installed is { } there ? [(Installed, there.Draft, there.Ngram)] : ((string, LanguageModel?, NgramModel?)[])[],
        ];
        DecodingLoop[] loops = [.. sets.Select(set =>
            new DecodingLoop(target, set.Draft, set.Ngram, new DecodingOptions { PrefixCacheBytes = 0 }))];
        try
        {
            Array.ForEach(loops, loop => loop.WarmUp(TimeSpan.FromMilliseconds(400)));
            BenchRunner[] runners = [.. loops.Select((loop, i) => new BenchRunner(loop, null, target.Transformer.WeightBytes,
                sets[i].Draft?.Transformer.WeightBytes ?? 0, new BenchSettings { MaxTokens = MaxTokens, Repeats = 1 }))];
            long start = Stopwatch.GetTimestamp();
            int done = 0;
            // Prompt by prompt through all sets, so that a drift of the machine's speed falls on all alike.
            while (done < prompts.Count
                && (done < FewestPrompts || Stopwatch.GetElapsedTime(start).TotalSeconds * (done + 1) / done < seconds))
            {
                Array.ForEach(runners, runner => runner.Run(prompts[done]));
                double share = (double)++done / Math.Min(FewestPrompts, prompts.Count);
                progress(Math.Min(1, Math.Min(share, Math.Max(Stopwatch.GetElapsedTime(start).TotalSeconds / seconds, 0.01))));
            }

            return Judge([.. runners.Select((runner, i) => new Measured(sets[i].Name,
                [.. runner.ByPrompt.Select(prompt => prompt.Modes["auto"].Speedup)], runner.Results(), runner.Equal))]);
        }
        finally
        {
            Array.ForEach(loops, loop => loop.Dispose());
        }
    }

    /// <summary>
    /// The faster of the new sets, the n-gram alone where the draft adds nothing; it must be faster than <c>off</c> and than what there is
    /// without it, in the median and on three of four prompts. Equal texts are a condition.
    /// </summary>
    public static DraftVerdict Judge(IReadOnlyList<Measured> all)
    {
        Measured without = all.Where(set => set.Name is Alone or Installed).MaxBy(set => set.Auto)!;
        Measured ngram = all.Single(set => set.Name == Ngram);
        Measured draft = all.Single(set => set.Name == Draft);
        Measured best = draft.Auto > Noise * ngram.Auto ? draft : ngram;
        int wins = best.ByPrompt.Zip(without.ByPrompt).Count(pair => pair.First > Math.Max(1, pair.Second));
        bool faster = best.Auto > Noise * Math.Max(1, without.Auto) && wins >= MostPrompts * best.ByPrompt.Count;
        return new DraftVerdict(all, faster && all.All(set => set.Equal) ? best.Name : null);
    }
}
