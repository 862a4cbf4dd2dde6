using System.Diagnostics;
using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Server.Hosting;
using Understory.Server.Observability;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary>
/// Gathers what the decoding thread tells about one job: texts per choice, and the figures for the answer, the log and the metrics.
/// </summary>
public sealed class GenerationProgress(GenerationJob job, IReadOnlyList<int> promptOfChoice, ServerMetrics metrics)
{
    private readonly ChoiceText[] _choices = [.. job.Choices.Select(_ => new ChoiceText())];
    private readonly List<ChoiceFinished> _finished = [];
    private readonly Dictionary<int, ChoiceFinished> _firstOfPrompt = [];
    private readonly Dictionary<string, StageTimings> _stages = [];
    private long _lastTokenAt;
    private bool _started;
    private int _tokens;

    public IReadOnlyList<ChoiceText> Choices => _choices;

    /// <summary>Every choice has come to its end.</summary>
    public bool Finished => _finished.Count == _choices.Length;

    public void Follow(GenerationEvent item)
    {
        switch (item)
        {
            case PromptRead:
                Start();
                break;
            case PromptScored scored:
                _choices[scored.Choice].Prompt.AddRange(scored.LogProbs);
                break;
            case PromptEmbedded embedded:
                _choices[embedded.Choice].Embedding = embedded.Vector;
                break;
            case StepDone step:
                _choices[step.Choice].Text.Append(step.Text);
                _choices[step.Choice].LogProbs.AddRange(step.LogProbs);
                Count(step);
                break;
            case ChoiceFinished finished:
                Start();
                _choices[finished.Choice].End = new ChoiceEnd(
                    finished.Choice, finished.Reason == FinishReason.Length ? "length" : "stop", finished.StopString);
                Add(finished);
                break;
        }
    }

    public AnswerTotals Totals => new(UsageSoFar(), TimingsSoFar());

    /// <summary>Null: the decoding thread never came to it.</summary>
    public GenerationFigures? Figures
    {
        get
        {
            if (!_started)
            {
                return null;
            }

            Usage usage = UsageSoFar();
            Timings timings = TimingsSoFar();
            return new(
                usage.PromptTokens, usage.PromptTokensDetails.CachedTokens, _tokens, timings.PredictedPerSecond, timings.TokensPerBatch,
                timings.QueueMs);
        }
    }

    /// <summary>As of now: of a job that is abandoned more may come.</summary>
    public GenerationOutcome Outcome => new(job, [.. _finished], _tokens);

    private void Start()
    {
        if (!_started)
        {
            _started = true;
            metrics.Waited(job.QueueTime);
        }
    }

    private void Count(StepDone step)
    {
        metrics.Step(step.Report, step.Tokens);
        if (step.Tokens == 0)
        {
            return;
        }

        if (_tokens == 0)
        {
            metrics.FirstToken(Stopwatch.GetElapsedTime(job.EnqueuedAt, step.Timestamp));
        }
        else
        {
            metrics.Tokens(step.Tokens, Stopwatch.GetElapsedTime(_lastTokenAt, step.Timestamp));
        }

        _tokens += step.Tokens;
        _lastTokenAt = step.Timestamp;
    }

    private void Add(ChoiceFinished finished)
    {
        _finished.Add(finished);
        _firstOfPrompt.TryAdd(promptOfChoice[finished.Choice], finished);
        metrics.Prompt(finished.PromptTokens, finished.CachedTokens);
        foreach (StageStatistics stage in finished.Statistics.Stages.Where(stage => stage.Passes > 0 || stage.Proposed > 0))
        {
            metrics.Stage(stage.Name, stage.Proposed, stage.Accepted);
            StageTimings sum = _stages.GetValueOrDefault(stage.Name) ?? new(stage.Name, 0, 0, 0, 0);
            _stages[stage.Name] = new(
                stage.Name, sum.Proposed + stage.Proposed, sum.Accepted + stage.Accepted, sum.Passes + stage.Passes,
                Round(sum.Ms + stage.Milliseconds));
        }
    }

    private Usage UsageSoFar()
    {
        int prompt = _firstOfPrompt.Values.Sum(choice => choice.PromptTokens);
        int cached = _firstOfPrompt.Values.Sum(choice => choice.CachedTokens);
        int generated = _finished.Sum(choice => choice.GeneratedTokens);
        return new(prompt, generated, prompt + generated, new(cached), new(
            _finished.Sum(choice => choice.Statistics.Prediction.Accepted), _finished.Sum(choice => choice.Statistics.RejectedPrediction)));
    }

    private Timings TimingsSoFar()
    {
        int generated = _finished.Sum(choice => choice.GeneratedTokens);
        double predicted = _finished.Sum(choice => choice.Statistics.PredictedMilliseconds);
        long passes = _finished.Sum(choice => (long)choice.Statistics.TargetPasses);
        return new(
            Round(job.QueueTime.TotalMilliseconds),
            _finished.Sum(choice => choice.PromptTokens - choice.CachedTokens),
            _finished.Sum(choice => choice.CachedTokens),
            Round(_finished.Sum(choice => choice.Statistics.PromptMilliseconds)),
            generated,
            Round(predicted),
            predicted > 0 ? Round(generated / predicted * 1000) : 0,
            passes,
            passes > 0 ? Round((double)generated / passes) : 0,
            _finished.Sum(choice => (long)choice.Statistics.DraftProposed),
            _finished.Sum(choice => (long)choice.Statistics.DraftAccepted),
            [.. _stages.Values]);
    }

    private static double Round(double value) => Math.Round(value, 3);
}
