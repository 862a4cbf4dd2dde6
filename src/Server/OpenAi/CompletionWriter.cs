using Understory.Decoding.Sequences;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>The prompt that stands before an answer.</summary>
/// <param name="Tokens">As the model read it.</param>
public sealed record Echo(string Text, int[] Tokens);

/// <summary><c>/v1/completions</c>.</summary>
/// <param name="topLogProbs">-1: no log-probabilities are told; else how many alternatives.</param>
/// <param name="echoes">Per choice, what stands before its text; null: nothing.</param>
/// <param name="wanted">Answers per prompt, of <paramref name="candidates"/> that are generated: those with the highest mean
/// log-probability.</param>
/// <param name="includeUsage">The figures of a stream come in a chunk of their own, without choices:
/// <c>stream_options.include_usage</c>.</param>
public sealed class CompletionWriter(
    AnswerHead head, TokenTexts texts, int topLogProbs, IReadOnlyList<Echo?> echoes, int wanted, int candidates, bool includeUsage)
        : IAnswerWriter
{
    /// <summary>The echo; one that is scored comes with its scores.</summary>
    public IEnumerable<StreamEvent> Opening(int choice, int cachedTokens) =>
        echoes[choice] is { Text.Length: > 0 } echo && topLogProbs < 0 ? [new(Body([new(choice, echo.Text, null, null)]))] : [];

    public IEnumerable<StreamEvent> Scored(int choice, IReadOnlyList<TokenLogProb> prompt) =>
        [new(Body([new(choice, echoes[choice]?.Text ?? "", LogProbs(choice, prompt, withPrompt: true, []), null)]))];

    public IEnumerable<StreamEvent> Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs) =>
        [new(Body([new(choice, text, LogProbs(choice, [], withPrompt: false, logProbs), null)]))];

    public StreamEvent? Blank(int choice) => new(Body([new(choice, "", null, null)]));

    public IEnumerable<StreamEvent> Closing(ChoiceEnd end, AnswerTotals? totals) =>
        [new(Body([new(end.Choice, "", null, end.Reason)], includeUsage ? null : totals))];

    public IEnumerable<StreamEvent> Ending(AnswerTotals totals) =>
        includeUsage ? [new(Body([], totals)), StreamEvent.Done] : [StreamEvent.Done];

    public IEnumerable<StreamEvent> Failed(ApiException error) => [new(error.Body)];

    public IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals) => Body(
        [.. choices.Index().Chunk(candidates).SelectMany(Best).Select((choice, place) => new CompletionChoice(
            place,
            echoes[choice.Index]?.Text + choice.Item.Text,
            LogProbs(choice.Index, choice.Item.Prompt, echoes[choice.Index] is not null, choice.Item.LogProbs),
            choice.Item.End?.Reason))],
        totals);

    /// <summary>The wanted ones of a prompt's candidates, best first; as they came where all are wanted.</summary>
    private IEnumerable<(int Index, ChoiceText Item)> Best((int Index, ChoiceText Item)[] ofPrompt) => wanted == ofPrompt.Length
        ? ofPrompt
        : ofPrompt.OrderByDescending(choice => MeanLogProb(choice.Item)).Take(wanted);

    /// <summary>Per token of the text; a text without tokens is the worst.</summary>
    private static double MeanLogProb(ChoiceText choice) =>
        choice.LogProbs.Count == 0 ? double.NegativeInfinity : choice.LogProbs.Average(token => (double)LogProb.Of(token.LogProb));

    private CompletionBody Body(IReadOnlyList<CompletionChoice> choices, AnswerTotals? totals = null) => new(
        head.Id, "text_completion", head.Created, head.Model, head.Fingerprint, choices, totals?.Usage, totals is null
            ? null : head.Seed, totals?.Timings);

    /// <param name="prompt">From the second token on; the first has nothing before it, so no probability.</param>
    private CompletionLogProbs? LogProbs(int choice, IReadOnlyList<TokenLogProb> prompt, bool withPrompt,
        IReadOnlyList<TokenLogProb> answer)
    {
        if (topLogProbs < 0)
        {
            return null;
        }

        Echo? echo = echoes[choice];
        int before = echo?.Text.Length ?? 0;
        int[] first = withPrompt && echo is not null ? [echo.Tokens[0]] : [];
        TokenLogProb[] scored = [.. prompt, .. answer];
        int[] promptOffsets = first.Length > 0 ? texts.Offsets(echo!.Tokens) : [];
        return new(
            [.. first.Select(texts.Name), .. scored.Select(token => texts.Name(token.Token))],
            [.. first.Select(_ => (float?)null), .. scored.Select(token => LogProb.Of(token.LogProb))],
            [.. first.Select(_ => (IReadOnlyDictionary<string, float>?)null), .. scored.Select(Top)],
            [.. promptOffsets, .. answer.Select(token => before + token.TextOffset)]);
    }

    /// <summary>Two tokens may read alike; the more probable one keeps the name.</summary>
    private Dictionary<string, float> Top(TokenLogProb token)
    {
        var top = new Dictionary<string, float>();
        foreach ((int alternative, float logProb) in token.Top.Where(top => float.IsFinite(top.LogProb)))
        {
            top.TryAdd(texts.Name(alternative), LogProb.Of(logProb));
        }

        top.TryAdd(texts.Name(token.Token), LogProb.Of(token.LogProb));
        return top;
    }
}
