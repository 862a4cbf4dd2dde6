using Understory.Decoding.Sequences;

namespace Understory.Server.OpenAi;

/// <summary><c>/v1/completions</c>.</summary>
/// <param name="echoes">Per choice, what stands before its text: the prompt, or nothing.</param>
/// <param name="wanted">Answers per prompt, of <paramref name="candidates"/> that are generated: those with the highest mean log-probability.</param>
/// <param name="includeUsage">The figures of a stream come in a chunk of their own, without choices: <c>stream_options.include_usage</c>.</param>
public sealed class CompletionFormat(AnswerHead head, TokenTexts texts, int topLogProbs, IReadOnlyList<string> echoes, int wanted, int candidates, bool includeUsage) : IWireFormat
{
    public IEnumerable<StreamEvent> Opening(int choice, int cachedTokens) =>
        echoes[choice].Length == 0 ? [] : [new(Body([new(choice, echoes[choice], null, null)]))];

    public IEnumerable<StreamEvent> Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs) =>
        [new(Body([new(choice, text, LogProbs(logProbs), null)]))];

    public StreamEvent? Blank(int choice) => new(Body([new(choice, "", null, null)]));

    public IEnumerable<StreamEvent> Closing(ChoiceEnd end, AnswerTotals? totals) =>
        [new(Body([new(end.Choice, "", null, end.Reason)], includeUsage ? null : totals))];

    public IEnumerable<StreamEvent> Ending(AnswerTotals totals) =>
        includeUsage ? [new(Body([], totals)), StreamEvent.Done] : [StreamEvent.Done];

    public IEnumerable<StreamEvent> Failed(ApiException error) => [new(error.Body)];

    public object Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals) => Body(
        [.. choices.Index().Chunk(candidates).SelectMany(Best).Select((choice, place) => new CompletionChoice(
            place, echoes[choice.Index] + choice.Item.Text, LogProbs(choice.Item.LogProbs), choice.Item.End?.Reason))],
        totals);

    /// <summary>The wanted ones of a prompt's candidates, best first; as they came where all are wanted.</summary>
    private IEnumerable<(int Index, ChoiceText Item)> Best((int Index, ChoiceText Item)[] ofPrompt) => wanted == ofPrompt.Length
        ? ofPrompt
        : ofPrompt.OrderByDescending(choice => MeanLogProb(choice.Item)).Take(wanted);

    /// <summary>Per token of the text; a text without tokens is the worst.</summary>
    private static double MeanLogProb(ChoiceText choice) =>
        choice.LogProbs.Count == 0 ? double.NegativeInfinity : choice.LogProbs.Average(token => (double)LogProb.Of(token.LogProb));

    private CompletionBody Body(IReadOnlyList<CompletionChoice> choices, AnswerTotals? totals = null) => new(
        head.Id, "text_completion", head.Created, head.Model, head.Fingerprint, choices, totals?.Usage, totals is null ? null : head.Seed, totals?.Timings);

    private CompletionLogProbs? LogProbs(IReadOnlyList<TokenLogProb> tokens) => topLogProbs < 0 ? null : new(
        [.. tokens.Select(token => texts.Name(token.Token))],
        [.. tokens.Select(token => LogProb.Of(token.LogProb))],
        [.. tokens.Select(token =>
        {
            // Two tokens may read alike; the more probable one keeps the name.
            var top = new Dictionary<string, float>();
            foreach ((int alternative, float logProb) in token.Top)
            {
                top.TryAdd(texts.Name(alternative), LogProb.Of(logProb));
            }

            top.TryAdd(texts.Name(token.Token), LogProb.Of(token.LogProb));
            return top;
        })],
        [.. tokens.Select(token => token.TextOffset)]);
}
