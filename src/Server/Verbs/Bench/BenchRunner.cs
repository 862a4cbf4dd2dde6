using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sequences;

namespace Understory.Server.Verbs.Bench;

/// <summary>
/// Runs every prompt with every mode in turn, in one process, so that ratios hold on a machine whose speed drifts, and
/// checks that all modes gave the same tokens.
/// </summary>
public sealed class BenchRunner(DecodingLoop loop, OracleDrafter? oracle, long targetBytes, long draftBytes, BenchSettings settings)
{
    private readonly BenchDecoder _decoder = new(loop, settings);

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
        Sequence reference = _decoder.Decode(prompt, BenchMode.Off);
        int[] expected = reference.GeneratedIds.ToArray();
        oracle?.Reveal([.. prompt, .. expected]);
        var best = new Dictionary<BenchMode, Sequence>();
        BenchMode[] turn = [.. Modes, BenchMode.Control];
        for (int repeat = 0; repeat < settings.Repeats; repeat++)
        {
            // In turn and back again: a drift of the machine's speed falls on all alike.
            foreach (BenchMode mode in repeat % 2 == 0 ? turn : turn.Reverse())
            {
                Sequence sequence = _decoder.Decode(prompt, mode);
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
            Speedup = Medians.Of(tally.Ratios),
            TokensPerBatch = tally.Committed / passes,
            WeightTraffic =
                ((double)(tally.Passes * targetBytes) + (tally.Draft.Passes * draftBytes)) / Math.Max(1, tally.Committed * targetBytes),
            OverheadPercent = 100 * (1 - (tally.PassSeconds / tally.Seconds)),
            DraftPassesPerBatch = tally.Draft.Passes / passes,
            NodesPerBatch = tally.Nodes / passes,
            Stages = [tally.Ngram, tally.Draft],
        };
    });

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
}
