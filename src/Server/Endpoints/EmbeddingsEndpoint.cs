using Understory.Decoding;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>
/// <c>POST /v1/embeddings</c>: 1 parse, 2 tokenize, 3 enqueue and finish. A vector is the mean of the final hidden states of an input's
/// tokens, of length 1.
/// </summary>
public sealed class EmbeddingsEndpoint(DecodingService decoding, GenerationResponder responder, ServerOptions options)
{
    public async Task InvokeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        if (!options.Embeddings)
        {
            throw new ApiException(400, "This server was started with --embeddings off; start it with --embeddings on, or ask another.",
                "model", "embeddings_unsupported");
        }

        // 1. Parse.
        EmbeddingRequest request = Fields.Read(
            await Answer.ReadBodyAsync(http, options.MaxBody), fields => EmbeddingRequest.Read(fields, model.Vocabulary, model.HiddenSize));
        PromptReader.CheckModel(model, request.Model);

        // 2. Tokenize.
        GenerationRequest[] inputs =
        [
            .. request.Inputs.Select(input => new GenerationRequest
            {
                Prompt = PromptReader.Fit(model, input.Tokens ?? PromptReader.Tokens(model, input.Text!), "input", answer: 0),
                MaxTokens = 0,
                Embed = true,
            }),
        ];

        // 3. Enqueue and finish.
        var wire = new EmbeddingWriter(model.Id, request.Base64, request.Dimensions);
        await responder.RunAsync(http, new GenerationJob(inputs), [.. Enumerable.Range(0, inputs.Length)], wire, stream: false);
    }
}
