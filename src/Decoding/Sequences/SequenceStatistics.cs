using Understory.Decoding.Tree;

namespace Understory.Decoding.Sequences;

/// <summary>What one stage did for a sequence.</summary>
public sealed class StageStatistics(string name)
{
    public string Name { get; } = name;

    /// <summary>Nodes of this stage that the target verified.</summary>
    public int Proposed { get; set; }

    /// <summary>Those on the accepted path.</summary>
    public int Accepted { get; set; }

    /// <summary>Model passes of the stage.</summary>
    public int Passes { get; set; }

    public double Milliseconds { get; set; }
}

/// <summary>Counts and times of one sequence.</summary>
public sealed class SequenceStatistics
{
    private readonly List<(Stage Stage, StageStatistics Statistics)> _stages =
        [.. new[] { Stage.Ngram, Stage.Draft, Stage.Grammar, Stage.Prediction, Stage.Lookahead }
            .Select(stage => (stage, new StageStatistics(stage.Name)))];

    public double PromptMilliseconds { get; set; }

    /// <summary>Decode time: all steps after the prefill.</summary>
    public double PredictedMilliseconds { get; set; }

    /// <summary>Time in target passes while decoding, decision included.</summary>
    public double TargetMilliseconds { get; set; }

    public int TargetPasses { get; set; }

    /// <summary>Tokens that the target passes committed, before any cut by stop or max_tokens.</summary>
    public int CommittedTokens { get; set; }

    public StageStatistics Ngram => Of(Stage.Ngram);

    public StageStatistics Draft => Of(Stage.Draft);

    public StageStatistics Grammar => Of(Stage.Grammar);

    public StageStatistics Prediction => Of(Stage.Prediction);

    /// <summary>Those of the house, then others in the order in which they first proposed.</summary>
    public IReadOnlyList<StageStatistics> Stages => _stages.ConvertAll(entry => entry.Statistics);

    public int DraftProposed => _stages.Sum(entry => entry.Statistics.Proposed);

    public int DraftAccepted => _stages.Sum(entry => entry.Statistics.Accepted);

    /// <summary>Tokens of the request's prediction that the target verified and did not choose.</summary>
    public int RejectedPrediction => Prediction.Proposed - Prediction.Accepted;

    /// <summary>Time that finding masks of the request's constraint took.</summary>
    public double MaskMilliseconds { get; set; }

    public double TokensPerBatch => TargetPasses == 0 ? 0 : (double)CommittedTokens / TargetPasses;

    /// <summary>A step is over.</summary>
    public void Count(int committed, double targetSeconds, double seconds, double maskSeconds)
    {
        TargetPasses++;
        CommittedTokens += committed;
        TargetMilliseconds += targetSeconds * 1000;
        PredictedMilliseconds += seconds * 1000;
        MaskMilliseconds += maskSeconds * 1000;
    }

    public StageStatistics Of(Stage stage)
    {
        foreach (var (known, statistics) in _stages)
        {
            if (ReferenceEquals(known, stage))
            {
                return statistics;
            }
        }

        var added = new StageStatistics(stage.Name);
        _stages.Add((stage, added));
        return added;
    }
}
