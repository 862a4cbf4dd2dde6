using Understory.Decoding;
using Understory.Decoding.Sequences;

namespace Understory.Server.Verbs.Bench;

/// <summary>A way of proposing: some of the sources that a pair has, each in a loop of its own, so that they learn apart.</summary>
/// <param name="Passes">Above 0: so many draft passes and nodes in every step, so that arms differ in what is accepted alone.</param>
internal sealed record SourceArm(string Name, DecodingLoop Loop, BenchMode Mode, int Passes = 0);

/// <summary>
/// Runs every prompt of a kind with every way in turn and back again, <c>off</c> once more among them, and counts who was kept. The
/// fastest of a prompt's runs counts.
/// </summary>
/// <param name="arms"><c>off</c> first.</param>
internal sealed class SourcesRunner(IReadOnlyList<SourceArm> arms, BenchSettings settings)
{
    /// <param name="done">Is told after each prompt.</param>
    public SourceSection Run(string kind, IReadOnlyList<int[]> prompts, float temperature, Action done)
    {
        BenchSettings own = settings with { Temperature = temperature };
        SourceArm[] turn = [.. arms, arms[0] with { Name = "off again" }];
        BenchDecoder[] decoders = [.. turn.Select(arm =>
            new BenchDecoder(arm.Loop, own with { DraftPasses = arm.Passes, Nodes = arm.Passes }))];
        var runs = turn.Select(_ => new List<Sequence>()).ToArray();
        bool equal = true;
        foreach (int[] prompt in prompts)
        {
            var best = new Sequence?[turn.Length];
            int[]? expected = null;
            for (int repeat = 0; repeat < own.Repeats; repeat++)
            {
                for (int i = 0; i < turn.Length; i++)
                {
                    int arm = repeat % 2 == 0 ? i : turn.Length - 1 - i;
                    Sequence sequence = decoders[arm].Decode(prompt, turn[arm].Mode);
                    expected ??= sequence.GeneratedIds.ToArray();
                    equal &= sequence.GeneratedIds.SequenceEqual(expected);
                    if (best[arm] is null || Time(sequence) < Time(best[arm]!))
                    {
                        best[arm] = sequence;
                    }
                }
            }

            for (int arm = 0; arm < turn.Length; arm++)
            {
                runs[arm].Add(best[arm]!);
            }

            done();
        }

        return new SourceSection(
            kind, temperature, prompts.Count, [.. arms.Select((arm, number) => Result(arm.Name, runs[number], runs[0]))],
            NoiseBand.Of(runs[0].Zip(runs[^1], (off, again) => Time(off) / Time(again))), equal);
    }

    private static double Time(Sequence sequence) => sequence.Statistics.PredictedMilliseconds;

    private static SourceResult Result(string name, List<Sequence> sequences, List<Sequence> off)
    {
        double passes = Math.Max(1, sequences.Sum(sequence => sequence.Statistics.TargetPasses));
        return new SourceResult(
            name,
            sequences.Sum(sequence => sequence.Statistics.CommittedTokens) / passes,
            sequences.SelectMany(sequence => sequence.Statistics.Stages).GroupBy(stage => stage.Name)
                .ToDictionary(stage => stage.Key, stage => stage.Sum(one => one.Accepted) / passes),
            sequences.Sum(Time) / Math.Max(1, sequences.Sum(sequence => sequence.GeneratedTokens)),
            Medians.Of(off.Zip(sequences, (plain, sequence) => Time(plain) / Time(sequence))));
    }
}
