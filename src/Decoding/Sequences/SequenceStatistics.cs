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
    public double PromptMilliseconds { get; set; }

    /// <summary>Decode time: all steps after the prefill.</summary>
    public double PredictedMilliseconds { get; set; }

    /// <summary>Time in target passes while decoding, decision included.</summary>
    public double TargetMilliseconds { get; set; }

    public int TargetPasses { get; set; }

    /// <summary>Tokens that the target passes committed, before any cut by stop or max_tokens.</summary>
    public int CommittedTokens { get; set; }

    public StageStatistics Ngram { get; } = new("ngram");

    public StageStatistics Draft { get; } = new("draft");

    public StageStatistics Grammar { get; } = new("grammar");

    public StageStatistics Prediction { get; } = new("prediction");

    public IReadOnlyList<StageStatistics> Stages => [Ngram, Draft, Grammar, Prediction];

    public int DraftProposed => Ngram.Proposed + Draft.Proposed + Grammar.Proposed + Prediction.Proposed;

    public int DraftAccepted => Ngram.Accepted + Draft.Accepted + Grammar.Accepted + Prediction.Accepted;

    /// <summary>Tokens of the request's prediction that the target verified and did not choose.</summary>
    public int RejectedPrediction => Prediction.Proposed - Prediction.Accepted;

    /// <summary>Time that finding masks of the request's constraint took.</summary>
    public double MaskMilliseconds { get; set; }

    public double TokensPerBatch => TargetPasses == 0 ? 0 : (double)CommittedTokens / TargetPasses;

    public StageStatistics Of(Stage stage) => stage switch
    {
        Stage.Ngram => Ngram,
        Stage.Grammar => Grammar,
        Stage.Prediction => Prediction,
        _ => Draft,
    };
}
