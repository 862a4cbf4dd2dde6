using System.Globalization;
using System.Text.Json;
using Understory.Models.Tokenizers;
using Understory.Server.Anthropic;
using Understory.Server.Hosting;
using Understory.Server.Observability;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>Everything that answers at once, without the decoding thread.</summary>
public sealed class SmallEndpoints(DecodingService decoding, RequestQueue queue, PrometheusBridge metrics, ServerOptions options)
{
    /// <summary><c>GET /v1/models</c>: the model under its id and under each alias.</summary>
    public Task ListModelsAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        return Answer.JsonAsync(http, RequestRecord.WantsAnthropic(http)
            ? new ServedModelsBody([.. model.Names.Select(name => DescribeAnthropic(model, name))])
            : new ModelsBody("list", [.. model.Names.Select(name => Describe(model, name))]));
    }

    /// <summary><c>GET /v1/models/{name}</c></summary>
    public Task ShowModelAsync(HttpContext http)
    {
        // Routing leaves one escape as it is: that of the slash, which ids of the hub have and clients encode.
        string asked = ((string)http.Request.RouteValues["name"]!).Replace("%2F", "/", StringComparison.OrdinalIgnoreCase);
        ServedModel model = decoding.Model;
        PromptReader.CheckModel(model, asked);
        // Of a name that only the alias of all names covers, what really serves is told.
        string name = model.Names.Contains(asked) ? asked : model.Id;
        return Answer.JsonAsync(http,
            RequestRecord.WantsAnthropic(http) ? DescribeAnthropic(model, name) : Describe(model, name));
    }

    /// <summary><c>POST /tokenize</c>: <c>{"text" | "content" | "prompt": …}</c> to token ids.</summary>
    public async Task TokenizeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        (string text, bool special, bool parse, bool pieces) = Fields.Read(await Answer.ReadBodyAsync(http, options.MaxBody), fields =>
        {
            fields.Check(RequestParameters.Tokenize);
            PromptReader.CheckModel(model, fields.Text("model"));
            string? given = fields.Text("text");
            string? content = fields.Text("content");
            string? prompt = fields.Text("prompt");
            // llama.cpp's default where its name of the text is used, else vLLM's.
            bool begin = given is not null || content is null;
            return (
                given ?? content ?? prompt ?? throw ApiException.Invalid("text", "text is missing; send {\"text\": \"…\"}."),
                fields.Flag("add_special") ?? fields.Flag("add_special_tokens") ?? begin,
                fields.Flag("parse_special") ?? true,
                fields.Flag("with_pieces") ?? fields.Flag("return_token_strs") ?? false);
        });
        Tokenizer tokenizer = model.Tokenizer;
        int[] tokens = parse ? tokenizer.Encode(text, special)
            : [.. special ? tokenizer.Encode("") : [], .. tokenizer.Literal.Encode(text)];
        var texts = new TokenTexts(tokenizer);
        await Answer.JsonAsync(http,
            new TokenizeBody(tokens, tokens.Length, model.Context, pieces ? [.. tokens.Select(texts.Name)] : null));
    }

    /// <summary><c>POST /detokenize</c>: <c>{"tokens": […]}</c> to text.</summary>
    public async Task DetokenizeAsync(HttpContext http)
    {
        ServedModel model = decoding.Model;
        int[] tokens = Fields.Read(await Answer.ReadBodyAsync(http, options.MaxBody), fields =>
        {
            fields.Check(RequestParameters.Detokenize);
            PromptReader.CheckModel(model, fields.Text("model"));
            fields.TryGet("tokens", out JsonElement value);
            return CompletionRequest.ReadTokens(value, "tokens", model.Vocabulary);
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

    private static ServedModelBody DescribeAnthropic(ServedModel model, string name) =>
        new(name, name, model.Created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));

    private static ModelBody Describe(ServedModel model, string name) =>
        new(name, "model", model.Created.ToUnixTimeSeconds(), "understory", model.Context);
}
