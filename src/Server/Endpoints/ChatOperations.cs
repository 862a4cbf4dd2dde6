using Understory.Server.Anthropic;
using Understory.Server.Contract;
using Understory.Server.OpenAi.Responses;

namespace Understory.Server.Endpoints;

/// <summary>The operations of OpenAI's Responses API and of Anthropic's Messages API. See <see cref="ApiRoutes"/>.</summary>
public static class ChatOperations
{
    public static ApiOperation Responses { get; } =
        new("POST", "/v1/responses", "createResponse", "Answers a conversation: OpenAI's Responses API, stateless.")
        {
            Body = ResponsesParameters.All,
            Answer = typeof(ResponseBody),
            Events =
        [
            typeof(ResponseStateEvent), typeof(OutputItemEvent), typeof(ContentPartEvent), typeof(DeltaEvent), typeof(TextDoneEvent),
            typeof(ArgumentsDoneEvent), typeof(InputDoneEvent), typeof(ErrorEvent),
        ],
            Errors = ApiOperation.QueueErrors,
        };

    public static ApiOperation ResponseTokens { get; } =
        new("POST", "/v1/responses/input_tokens", "countResponseTokens", "How long a response's prompt would be.")
        {
            Body = ResponsesParameters.All,
            Answer = typeof(InputTokensBody),
            Errors = ApiOperation.BodyErrors,
        };

    public static ApiOperation ShowResponse { get; } =
        new("GET", "/v1/responses/{id}", "retrieveResponse", "Nothing is stored: there is no such response.")
        {
            Succeeds = false,
            Errors = [404],
        };

    public static ApiOperation DeleteResponse { get; } =
        new("DELETE", "/v1/responses/{id}", "deleteResponse", "Nothing is stored: there is no such response.")
        {
            Succeeds = false,
            Errors = [404],
        };

    public static ApiOperation CancelResponse { get; } =
        new("POST", "/v1/responses/{id}/cancel", "cancelResponse", "Nothing is stored: there is no such response.")
        {
            Succeeds = false,
            Errors = [404],
        };

    public static ApiOperation ResponseItems { get; } =
        new("GET", "/v1/responses/{id}/input_items", "listResponseItems", "Nothing is stored: there is no such response.")
        {
            Succeeds = false,
            Errors = [404],
        };

    public static ApiOperation Messages { get; } =
        new("POST", "/v1/messages", "createMessage", "Answers a conversation: Anthropic's Messages API.")
        {
            Body = MessagesParameters.Messages,
            Answer = typeof(MessageBody),
            Events =
        [
            typeof(MessageStart), typeof(ContentBlockStart), typeof(ContentBlockDelta), typeof(ContentBlockStop), typeof(MessageDelta),
            typeof(MessageStop),
            typeof(Ping), typeof(MessageError),
        ],
            Error = typeof(MessageError),
            Errors = ApiOperation.QueueErrors,
        };

    public static ApiOperation MessageTokens { get; } =
        new("POST", "/v1/messages/count_tokens", "countMessageTokens", "How long a message's prompt would be.")
        {
            Body = MessagesParameters.Count,
            Answer = typeof(TokenCount),
            Error = typeof(MessageError),
            Errors = ApiOperation.BodyErrors,
        };
}
