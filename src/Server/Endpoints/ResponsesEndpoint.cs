using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;
using Understory.Server.OpenAi.Responses;

namespace Understory.Server.Endpoints;

/// <summary>OpenAI's Responses API, stateless: the client sends the whole conversation each time, and nothing is kept.</summary>
public sealed class ResponsesEndpoint(DecodingService decoding, GenerationResponder responder, ServerOptions options)
{
    /// <summary><c>POST /v1/responses</c>: 1 parse, 2 render, 3 tokenize, 4 enqueue, stream and finish.</summary>
    public async Task InvokeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;

        // 1. Parse.
        ResponsesRequest request = await ReadAsync(http, model);
        PromptReader.CheckSpeculation(model, request.Generation.Speculation);

        // 2. Render the conversation, 3. tokenize it.
        GenerationFields fields = request.Generation;
        PreparedChat chat = Prepare(http, model, request);

        // 4. Enqueue, stream, finish.
        var head = new AnswerHead($"resp_{Guid.NewGuid():N}", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), model.Id, model.Fingerprint,
            fields.Sampling.Seed);
        var wire = new ResponsesFormat(head, model.Tokenizer, request.TopLogProbs, request.Echo, chat);
        await responder.RunAsync(http, ChatGeneration.Job(model, chat, fields, request.TopLogProbs), [0], wire, fields.Stream);
    }

    /// <summary><c>POST /v1/responses/input_tokens</c>: how long the prompt would be.</summary>
    public async Task CountAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        ResponsesRequest request = await ReadAsync(http, model);
        await Answer.JsonAsync(http, new InputTokensBody("response.input_tokens", request.Truncate
            ? Prepare(http, model, request).Prompt.Length : ChatGeneration.Count(model, request.Conversation, "input")));
    }

    /// <summary><c>GET</c> and <c>DELETE /v1/responses/{id}</c>, and what is below: nothing is stored.</summary>
    public Task NotStoredAsync(HttpContext http) => throw new ApiException(
        404, $"There is no response '{http.Request.RouteValues["id"]}': this server stores none, whatever store was. Keep what POST "
            + "/v1/responses answers.", "id", "response_not_found");

    private async Task<ResponsesRequest> ReadAsync(HttpContext http, ServedModel model)
    {
        ResponsesRequest request = Fields.Read(
            await Answer.ReadBodyAsync(http, options.MaxBody),
            fields => ResponsesRequest.Read(fields, model.Defaults, model.Vocabulary, options.Speculation));
        PromptReader.CheckModel(model, request.Model);
        return request;
    }

    private static PreparedChat Prepare(HttpContext http, ServedModel model, ResponsesRequest request) => request.Truncate
        ? Truncation.Prepare(request.Conversation, shorter => ChatGeneration.Prepare(model, shorter, "input", http.RequestAborted))
        : ChatGeneration.Prepare(model, request.Conversation, "input", http.RequestAborted);
}
