using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Server.Verbs.Bench;

public sealed record BenchSettings
{
    public int MaxTokens { get; init; } = 128;

    public float Temperature { get; init; }

    public int TopK { get; init; }

    public ulong Seed { get; init; } = 1;

    /// <summary>Runs of each mode per prompt; the fastest counts.</summary>
    public int Repeats { get; init; } = 3;

    /// <summary>Above 0: so many draft passes per step in the forced modes, to compare trees at equal cost.</summary>
    public int DraftPasses { get; init; }

    /// <summary>Above 0: so many nodes per tree in the forced modes.</summary>
    public int Nodes { get; init; }
}

/// <summary>
/// Runs every prompt with every mode in turn, in one process, so that ratios hold on a machine whose speed drifts, and
/// checks that all modes gave the same tokens.
/// </summary>
public sealed class BenchRunner(DecodingLoop loop, OracleDrafter? oracle, long targetBytes, long draftBytes, BenchSettings settings)
{
    private sealed class Tally
    {
        public List<double> Ratios { get; } = [];

        public double Seconds { get; set; }

        public double PassSeconds { get; set; }

        public long Tokens { get; set; }

        public long Committed { get; set; }

        public long Passes { get; set; }

        public long Nodes { get; set; }

        public StageResult Ngram { get; set; } = new("ngram", 0, 0, 0, 0);

        public StageResult Draft { get; set; } = new("draft", 0, 0, 0, 0);
    }

    private readonly SortedDictionary<SpeculationMode, Tally> _tallies = [];
    private readonly List<PromptResult> _prompts = [];

    /// <summary>All modes gave the same tokens on every prompt so far.</summary>
    public bool Equal { get; private set; } = true;

    public IReadOnlyList<PromptResult> ByPrompt => _prompts;

    /// <summary>Modes that the loaded models allow, <c>off</c> first.</summary>
    public IReadOnlyList<SpeculationMode> Modes { get; } =
        [.. new[] { SpeculationMode.Off, SpeculationMode.Ngram, SpeculationMode.Draft, SpeculationMode.Staged, SpeculationMode.Auto }.Where(loop.Supports)];

    public void Run(int[] prompt)
    {
        // The first run of all decides what the others must give; an oracle learns from it.
        Sequence reference = Decode(prompt, SpeculationMode.Off);
        int[] expected = reference.GeneratedIds.ToArray();
        oracle?.Reveal([.. prompt, .. expected]);
        var best = new Dictionary<SpeculationMode, Sequence>();
        for (int repeat = 0; repeat < settings.Repeats; repeat++)
        {
            // In turn and back again: a drift of the machine's speed falls on all alike.
            foreach (SpeculationMode mode in repeat % 2 == 0 ? Modes : Modes.Reverse())
            {
                Sequence sequence = Decode(prompt, mode);
                Equal &= sequence.GeneratedIds.SequenceEqual(expected);
                if (!best.TryGetValue(mode, out Sequence? fastest)
                    || sequence.Statistics.PredictedMilliseconds < fastest.Statistics.PredictedMilliseconds)
                {
                    best[mode] = sequence;
                }
            }
        }

        foreach (SpeculationMode mode in Modes)
        {
            Add(mode, best[mode], best[SpeculationMode.Off]);
        }

        _prompts.Add(new PromptResult(
            Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(expected.AsSpan()))),
            Modes.ToDictionary(ModeName, mode => OnePrompt(best[mode], best[SpeculationMode.Off]))));
    }

    public IReadOnlyDictionary<string, ModeResult> Results() => Modes.ToDictionary(ModeName, mode =>
    {
        Tally tally = _tallies[mode];
        double passes = Math.Max(1, tally.Passes);
        return new ModeResult
        {
            TokensPerSecond = tally.Tokens / tally.Seconds,
            Speedup = Median(tally.Ratios),
            TokensPerBatch = tally.Committed / passes,
            WeightTraffic = ((double)(tally.Passes * targetBytes) + (tally.Draft.Passes * draftBytes)) / Math.Max(1, tally.Committed * targetBytes),
            OverheadPercent = 100 * (1 - (tally.PassSeconds / tally.Seconds)),
            DraftPassesPerBatch = tally.Draft.Passes / passes,
            NodesPerBatch = tally.Nodes / passes,
            Stages = [tally.Ngram, tally.Draft],
        };
    });

    public static string ModeName(SpeculationMode mode) => mode.ToString().ToLowerInvariant();

    private Sequence Decode(int[] prompt, SpeculationMode mode)
    {
        Sequence sequence = loop.Begin(new GenerationRequest
        {
            Prompt = prompt,
            Sampling = new SamplingParams { Temperature = settings.Temperature, TopK = settings.TopK, Seed = settings.Seed },
            MaxTokens = settings.MaxTokens,
            IgnoreEos = true,
            Speculation = mode,
            SpeculationNodes = mode is SpeculationMode.Auto or SpeculationMode.Off || settings.Nodes == 0 ? null : settings.Nodes,
            DraftPasses = mode is SpeculationMode.Draft or SpeculationMode.Staged && settings.DraftPasses > 0 ? settings.DraftPasses : null,
        });
        while (!sequence.Finished)
        {
            loop.Step(sequence);
        }

        loop.End(sequence);
        return sequence;
    }

    private static PromptModeResult OnePrompt(Sequence sequence, Sequence off)
    {
        SequenceStatistics s = sequence.Statistics;
        return new PromptModeResult(
            sequence.GeneratedTokens / s.PredictedMilliseconds * 1000,
            off.Statistics.PredictedMilliseconds / s.PredictedMilliseconds,
            (double)s.CommittedTokens / Math.Max(1, s.TargetPasses),
            s.Stages.ToDictionary(stage => stage.Name, stage => (long)stage.Accepted));
    }

    private void Add(SpeculationMode mode, Sequence sequence, Sequence off)
    {
        if (!_tallies.TryGetValue(mode, out Tally? tally))
        {
            _tallies[mode] = tally = new Tally();
        }

        SequenceStatistics s = sequence.Statistics;
        tally.Ratios.Add(off.Statistics.PredictedMilliseconds / s.PredictedMilliseconds);
        tally.Seconds += s.PredictedMilliseconds / 1000;
        tally.PassSeconds += (s.TargetMilliseconds + s.Draft.Milliseconds) / 1000;
        tally.Tokens += sequence.GeneratedTokens;
        tally.Committed += s.CommittedTokens;
        tally.Passes += s.TargetPasses;
        tally.Nodes += s.DraftProposed;
        tally.Ngram = Sum(tally.Ngram, s.Ngram);
        tally.Draft = Sum(tally.Draft, s.Draft);
    }

    private static StageResult Sum(StageResult sum, StageStatistics stage) => new(
        sum.Name, sum.Proposed + stage.Proposed, sum.Accepted + stage.Accepted, sum.Passes + stage.Passes, sum.Milliseconds + stage.Milliseconds);

    private static double Median(List<double> values)
    {
        values.Sort();
        return values.Count % 2 == 1 ? values[values.Count / 2] : (values[(values.Count / 2) - 1] + values[values.Count / 2]) / 2;
    }
}
