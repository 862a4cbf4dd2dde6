using Understory.Decoding.Sequences;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi.Responses;

/// <summary><c>/v1/responses</c>. A whole response is what its stream would have ended with.</summary>
public sealed class ResponseWriter(AnswerHead head, Tokenizer tokenizer, int topLogProbs, ResponseEcho echo, PreparedChat chat,
    OfferedTools tools)
    : ChatAnswerWriter(chat, 1, tools)
{
    private readonly ResponseOutput _output = new(new TokenTexts(tokenizer), topLogProbs >= 0, tools);
    private ResponseBody? _ended;

    public override IEnumerable<StreamEvent> Opening(int choice, int cachedTokens)
    {
        ResponseBody begun = Body("in_progress");
        return [State("response.created", begun), State("response.in_progress", begun)];
    }

    public override IEnumerable<StreamEvent> Ending(AnswerTotals totals) => [];

    public override IEnumerable<StreamEvent> Failed(ApiException error)
    {
        var told = new ErrorEvent("error", _output.NextNumber(), error.Body.Error.Code, error.Message, error.Body.Error.Param);
        ResponseBody failed = Body("failed") with { Error = new(error.Body.Error.Code ?? error.Body.Error.Type, error.Message) };
        return [new(told, told.Type), State("response.failed", failed)];
    }

    public override IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals)
    {
        Replay(0, choices[0], totals);
        return _ended!;
    }

    protected override IEnumerable<StreamEvent> Parts(int choice, IReadOnlyList<AnswerPart> parts, IReadOnlyList<TokenLogProb> logProbs) =>
        _output.Add(parts, logProbs);

    protected override IEnumerable<StreamEvent> Closed(ChoiceEnd end, ParsedAnswer answer, AnswerTotals? totals)
    {
        string status = end.Reason == "length" ? "incomplete" : "completed";
        IEnumerable<StreamEvent> closing = _output.Close(status);
        Usage usage = totals!.Usage;
        _ended = Body(status) with
        {
            CompletedAt = status == "completed" ? DateTimeOffset.UtcNow.ToUnixTimeSeconds() : null,
            IncompleteDetails = status == "completed" ? null : new("max_output_tokens"),
            Usage = new(
                usage.PromptTokens, new(usage.PromptTokensDetails.CachedTokens), usage.CompletionTokens, new(ReasoningTokens(tokenizer)),
                usage.TotalTokens),
            Timings = totals.Timings,
        };
        return [.. closing, State($"response.{status}", _ended)];
    }

    private StreamEvent State(string type, ResponseBody response) =>
        new(new ResponseStateEvent(type, _output.NextNumber(), response), type);

    private ResponseBody Body(string status) => new(
        head.Id, "response", head.Created, status, null, null, null, head.Model, _output.Items, null,
        echo.Instructions, echo.MaxOutputTokens, echo.Temperature, echo.TopP, echo.TopLogprobs, echo.ParallelToolCalls, echo.Tools,
        echo.ToolChoice,
        echo.Text, echo.Reasoning, echo.Truncation, echo.Metadata, echo.User, echo.SafetyIdentifier, echo.PromptCacheKey,
        head.Fingerprint, head.Seed, null);
}
