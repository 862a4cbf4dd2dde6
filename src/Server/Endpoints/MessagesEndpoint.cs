using Understory.Server.Anthropic;
using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary>Anthropic's Messages API.</summary>
public sealed class MessagesEndpoint(DecodingService decoding, GenerationResponder responder, ServerOptions options)
{
    /// <summary><c>POST /v1/messages</c>: 1 parse, 2 render, 3 tokenize, 4 enqueue, stream and finish.</summary>
    public async Task InvokeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;

        // 1. Parse.
        MessagesRequest request = Fields.Read(
            await Answer.ReadBodyAsync(http, options.MaxBody),
            fields => MessagesRequest.Read(fields, model.Defaults, model.Vocabulary, options.Speculation));
        PromptReader.CheckModel(model, request.Model);
        PromptReader.CheckSpeculation(model, request.Generation.Speculation);

        // 2. Render the conversation, 3. tokenize it.
        GenerationFields fields = request.Generation;
        PreparedChat chat = ChatGeneration.Prepare(model, request.Conversation, cancellation: http.RequestAborted);

        // 4. Enqueue, stream, finish.
        var head = new AnswerHead($"msg_{Guid.NewGuid():N}", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), model.Id, model.Fingerprint,
            fields.Sampling.Seed);
        var wire =
            new MessagesFormat(head, model.Tokenizer, chat, RequestRecord.Of(http).Id, fields.MaxTokens!.Value, request.ShowThinking);
        await responder.RunAsync(http, ChatGeneration.Job(model, chat, fields, topLogProbs: -1), [0], wire, fields.Stream);
    }

    /// <summary><c>POST /v1/messages/count_tokens</c>: how long the prompt would be.</summary>
    public async Task CountAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        (string? name, Conversation conversation) =
            Fields.Read(await Answer.ReadBodyAsync(http, options.MaxBody), MessagesRequest.ReadCount);
        PromptReader.CheckModel(model, name);
        await Answer.JsonAsync(http, new TokenCount(ChatGeneration.Count(model, conversation)));
    }
}
