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

/// <summary>How a bench decodes.</summary>
/// <param name="Branch">Most candidates of the draft per node; 0: its own number.</param>
public sealed record BenchMode(string Name, SpeculationMode Speculation, int Branch = 0)
{
    /// <summary>Plain decoding, that all are measured against.</summary>
    public static BenchMode Off { get; } = new("off", SpeculationMode.Off);

    /// <summary>The same again, to see what noise does.</summary>
    public static BenchMode Control { get; } = new("off again", SpeculationMode.Off);

    /// <summary>All, in the order of tables. A chain is the draft model's best path alone, as long as it is expected to pay.</summary>
    public static IReadOnlyList<BenchMode> All { get; } =
    [
        Off,
        new("ngram", SpeculationMode.Ngram),
        new("draft", SpeculationMode.Draft),
        new("chain", SpeculationMode.Draft, Branch: 1),
        new("staged", SpeculationMode.Staged),
        new("auto", SpeculationMode.Auto),
    ];
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

    private readonly Dictionary<BenchMode, Tally> _tallies = [];
    private readonly List<double> _control = [];
    private readonly List<PromptResult> _prompts = [];

    /// <summary>All modes gave the same tokens on every prompt so far.</summary>
    public bool Equal { get; private set; } = true;

    public IReadOnlyList<PromptResult> ByPrompt => _prompts;

    /// <summary>Modes that the loaded models allow, <c>off</c> first.</summary>
    public IReadOnlyList<BenchMode> Modes { get; } = [.. BenchMode.All.Where(mode => loop.Supports(mode.Speculation))];

    public NoiseBand? Noise => NoiseBand.Of(_control);

    public void Run(int[] prompt)
    {
        // The first run of all decides what the others must give; an oracle learns from it.
        Sequence reference = Decode(prompt, BenchMode.Off);
        int[] expected = reference.GeneratedIds.ToArray();
        oracle?.Reveal([.. prompt, .. expected]);
        var best = new Dictionary<BenchMode, Sequence>();
        BenchMode[] turn = [.. Modes, BenchMode.Control];
        for (int repeat = 0; repeat < settings.Repeats; repeat++)
        {
            // In turn and back again: a drift of the machine's speed falls on all alike.
            foreach (BenchMode mode in repeat % 2 == 0 ? turn : turn.Reverse())
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

        foreach (BenchMode mode in Modes)
        {
            Add(mode, best[mode], best[BenchMode.Off]);
        }

        _control.Add(best[BenchMode.Off].Statistics.PredictedMilliseconds / best[BenchMode.Control].Statistics.PredictedMilliseconds);

        _prompts.Add(new PromptResult(
            Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(expected.AsSpan()))),
            Modes.ToDictionary(mode => mode.Name, mode => OnePrompt(best[mode], best[BenchMode.Off]))));
    }

    public IReadOnlyDictionary<string, ModeResult> Results() => Modes.ToDictionary(mode => mode.Name, mode =>
    {
        Tally tally = _tallies[mode];
        double passes = Math.Max(1, tally.Passes);
        return new ModeResult
        {
            TokensPerSecond = tally.Tokens / tally.Seconds,
            Speedup = Median(tally.Ratios),
            TokensPerBatch = tally.Committed / passes,
            WeightTraffic =
                ((double)(tally.Passes * targetBytes) + (tally.Draft.Passes * draftBytes)) / Math.Max(1, tally.Committed * targetBytes),
            OverheadPercent = 100 * (1 - (tally.PassSeconds / tally.Seconds)),
            DraftPassesPerBatch = tally.Draft.Passes / passes,
            NodesPerBatch = tally.Nodes / passes,
            Stages = [tally.Ngram, tally.Draft],
        };
    });

    private Sequence Decode(int[] prompt, BenchMode mode)
    {
        Sequence sequence = loop.Begin(new GenerationRequest
        {
            Prompt = prompt,
            Sampling = new SamplingParams { Temperature = settings.Temperature, TopK = settings.TopK, Seed = settings.Seed },
            MaxTokens = settings.MaxTokens,
            IgnoreEos = true,
            Speculation = mode.Speculation,
            Branch = mode.Branch == 0 ? null : mode.Branch,
            SpeculationNodes = mode.Speculation is SpeculationMode.Auto or SpeculationMode.Off || settings.Nodes == 0
                ? null : settings.Nodes,
            DraftPasses = mode.Speculation is SpeculationMode.Draft or SpeculationMode.Staged && settings.DraftPasses > 0
                ? settings.DraftPasses : null,
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

    private void Add(BenchMode mode, Sequence sequence, Sequence off)
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
        sum.Name, sum.Proposed + stage.Proposed, sum.Accepted + stage.Accepted, sum.Passes + stage.Passes, sum.Milliseconds
            + stage.Milliseconds);

    private static double Median(List<double> values)
    {
        values.Sort();
        return values.Count % 2 == 1 ? values[values.Count / 2] : (values[(values.Count / 2) - 1] + values[values.Count / 2]) / 2;
    }
}
