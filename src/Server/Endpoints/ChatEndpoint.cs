using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary><c>POST /v1/chat/completions</c>: 1 parse, 2 render, 3 tokenize, 4 enqueue, stream and finish.</summary>
public sealed class ChatEndpoint(DecodingService decoding, GenerationResponder responder, ServerOptions options)
{
    public async Task InvokeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;

        // 1. Parse.
        ChatRequest request = Fields.Read(
            await Answer.ReadBodyAsync(http, options.MaxBody),
            fields => ChatRequest.Read(fields, model.Defaults, model.Vocabulary, options.Speculation));
        PromptReader.CheckModel(model, request.Model);
        PromptReader.CheckSpeculation(model, request.Generation.Speculation);

        // 2. Render the conversation, 3. tokenize it.
        GenerationFields fields = request.Generation;
        PreparedChat chat = ChatGeneration.Prepare(model, request.Conversation, cancellation: http.RequestAborted);

        // 4. Enqueue, stream, finish.
        var head = new AnswerHead($"chatcmpl-{Guid.NewGuid():N}", DateTimeOffset.UtcNow.ToUnixTimeSeconds(), model.Id, model.Fingerprint,
            fields.Sampling.Seed);
        var wire =
            new ChatWireFormat(head, new TokenTexts(model.Tokenizer), request.TopLogProbs, fields.IncludeUsage, chat, fields.Choices);
        GenerationJob job = ChatGeneration.Job(model, chat, fields, request.TopLogProbs, request.Prediction);
        await responder.RunAsync(http, job, new int[fields.Choices], wire, fields.Stream);
    }
}
