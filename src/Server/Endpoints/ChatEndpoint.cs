using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>Reads a chat API's request, whose table it checks first.</summary>
public delegate ChatCall CallReader(Fields fields, RequestContext context);

/// <summary>
/// Every API that answers conversations: chat completions, responses and messages. They differ in how a request is read and in the form of
/// the answer: 1 parse, 2 render, 3 tokenize, 4 enqueue, stream and finish.
/// </summary>
public sealed class ChatEndpoint(DecodingService decoding, GenerationResponder responder, ServerOptions options, ILogger<ChatEndpoint> log)
{
    /// <summary>Names, for people, what of a request was passed over; see <see cref="ChatCall.Warnings"/>.</summary>
    public const string WarningHeader = "X-Understory-Warning";

    public async Task InvokeAsync(HttpContext http, CallReader read)
    {
        ServedModel model = decoding.Model;

        // 1. Parse.
        ChatCall call = await ReadAsync(http, model, read);

        // 2. Render the conversation, 3. tokenize it.
        PreparedChat chat = Prepare(http, model, call);

        // 4. Enqueue, stream, finish.
        GenerationFields fields = call.Generation;
        var head = new AnswerHead($"{call.IdPrefix}{Guid.NewGuid():N}", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), model.Id,
            model.Fingerprint, fields.Seed);
        IAnswerWriter wire = call.Writer(head, model.Tokenizer, chat, RequestRecord.Of(http).Id);
        GenerationJob job = ChatGeneration.Job(model, chat, fields, call.TopLogProbs, call.Prediction);
        await responder.RunAsync(http, job, new int[fields.Choices], wire, fields.Stream);
    }

    /// <summary>How long the prompt would be.</summary>
    /// <param name="body">The answer for so many tokens.</param>
    public async Task CountAsync(HttpContext http, CallReader read, Func<int, IJsonBody> body)
    {
        ServedModel model = decoding.Model;
        ChatCall call = await ReadAsync(http, model, read);
        await Answer.JsonAsync(http, body(call.Truncate
            ? Prepare(http, model, call).Prompt.Length : ChatGeneration.Count(model, call.Conversation, call.TurnsField)));
    }

    /// <summary>What is below <c>/v1/responses</c>: nothing is stored.</summary>
    public static Task NotStoredAsync(HttpContext http) => throw new ApiException(
        404, $"There is no response '{http.Request.RouteValues["id"]}': this server stores none, whatever store was. Keep what POST "
            + "/v1/responses answers.", "id", "response_not_found");

    private async Task<ChatCall> ReadAsync(HttpContext http, ServedModel model, CallReader read)
    {
        var context = new RequestContext(model.Defaults, model.Vocabulary, options.Speculation);
        ChatCall call = Fields.Read(await Answer.ReadBodyAsync(http, options.MaxBody), fields => read(fields, context));
        PromptReader.Check(model, call.Model, call.Generation.Speculation);
        CheckContinuation(call);
        if (call.Warnings.Count > 0)
        {
            string warning = string.Join(' ', call.Warnings);
            // A header holds ASCII alone.
            http.Response.Headers[WarningHeader] = string.Concat(warning.Select(c => c is >= ' ' and <= '~' ? c : '?'));
            log.LogWarning("{Id}: {Warning:l}", RequestRecord.Of(http).Id, warning);
        }

        return call;
    }

    /// <exception cref="ApiException">400: there is nothing to go on with, or the form of an answer holds from its beginning.</exception>
    private static void CheckContinuation(ChatCall call)
    {
        Conversation asked = call.Conversation;
        if (!asked.ContinueFinal)
        {
            return;
        }

        if (asked.Turns[^1] is not { Role: "assistant", ToolCalls.Count: 0, Content.Length: > 0 })
        {
            throw ApiException.Invalid(call.TurnsField, $"{call.TurnsField} must end with a text of the assistant's to be continued.");
        }

        if (asked.Form is not null || asked.ToolChoice.Mode == ToolChoiceMode.Required)
        {
            throw ApiException.Invalid(asked.Form?.Field ?? "tool_choice", $"{asked.Form?.Field ?? "tool_choice"} holds for an answer "
                + "from its beginning, but the assistant's last message is to be continued; leave one of them out.");
        }
    }

    private PreparedChat Prepare(HttpContext http, ServedModel model, ChatCall call) =>
        TimeLimit.Within(http, options, stop => call.Truncate
            ? Truncation.Prepare(call.Conversation, shorter => ChatGeneration.Prepare(model, shorter, call.TurnsField, stop))
            : ChatGeneration.Prepare(model, call.Conversation, call.TurnsField, stop));
}
