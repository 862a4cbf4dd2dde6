using System.Text.Json;
using Understory.Server.Hosting;
using Understory.Server.Observability;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary>Everything that answers at once, without the decoding thread.</summary>
public sealed class SmallEndpoints(DecodingService decoding, RequestQueue queue, PrometheusBridge metrics, ServerOptions options)
{
    /// <summary><c>GET /v1/models</c>: the model under its id and under each alias.</summary>
    public Task ListModelsAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        return Answer.JsonAsync(http, new ModelsBody("list", [.. model.Aliases.Prepend(model.Id).Select(name => Describe(model, name))]));
    }

    /// <summary><c>GET /v1/models/{name}</c></summary>
    public Task ShowModelAsync(HttpContext http)
    {
        // Routing leaves one escape as it is: that of the slash, which ids of the hub have and clients encode.
        string name = ((string)http.Request.RouteValues["name"]!).Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        PromptReader.CheckModel(decoding.Model, name);
        return Answer.JsonAsync(http, Describe(decoding.Model, name));
    }

    /// <summary><c>POST /tokenize</c>: <c>{"text" | "content" | "prompt": …, "with_pieces": bool}</c> to token ids.</summary>
    public async Task TokenizeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        (string text, bool pieces) = Fields.Read(await Answer.ReadBodyAsync(http, options.MaxBody), fields =>
        {
            PromptReader.CheckModel(model, fields.Text("model"));
            return (
                fields.Text("text") ?? fields.Text("content") ?? fields.Text("prompt")
                    ?? throw ApiException.Invalid("text", "text is missing; send {\"text\": \"…\"}."),
                fields.Flag("with_pieces") ?? false);
        });
        int[] tokens = model.Tokenizer.Encode(text);
        var texts = new TokenTexts(model.Tokenizer);
        await Answer.JsonAsync(http,
            new TokenizeBody(tokens, tokens.Length, model.Context, pieces ? [.. tokens.Select(texts.Name)] : null));
    }

    /// <summary><c>POST /detokenize</c>: <c>{"tokens": […]}</c> to text.</summary>
    public async Task DetokenizeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        int[] tokens = Fields.Read(await Answer.ReadBodyAsync(http, options.MaxBody), fields =>
        {
            const string Name = "tokens";
            PromptReader.CheckModel(model, fields.Text("model"));
            if (!fields.TryGet(Name, out JsonElement value))
            {
                throw ApiException.Invalid(Name, "tokens is missing; send {\"tokens\": [1, 2, 3]}.");
            }

            return value.ValueKind == JsonValueKind.Array
                ? CompletionRequest.ReadTokens(value, Name, model.Vocabulary)
                : throw Fields.Wrong(Name, value, "an array of token ids");
        });
        await Answer.JsonAsync(http, new DetokenizeBody(model.Tokenizer.Decode(tokens)));
    }

    /// <summary><c>GET /health</c>: 200 when requests are taken; 503 while loading, with the stage, and while shutting down.</summary>
    public Task HealthAsync(HttpContext http)
    {
        HealthBody body = queue.Draining ? new("draining") : decoding.Ready.IsCompletedSuccessfully ? new("ok")
            : new("loading", decoding.Stage);
        http.Response.StatusCode = body.Status == "ok" ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        return Answer.JsonAsync(http, body);
    }

    /// <summary><c>GET /metrics</c></summary>
    public Task MetricsAsync(HttpContext http) =>
        metrics.WriteAsync(http.Response.Body, http.Request.Headers.Accept, type => http.Response.ContentType = type);

    private static ModelBody Describe(ServedModel model, string name) =>
        new(name, "model", model.Created.ToUnixTimeSeconds(), "understory", model.Context);
}
