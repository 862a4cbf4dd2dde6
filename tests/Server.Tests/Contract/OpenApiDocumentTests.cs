using System.Net.Http.Headers;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Contract;

/// <summary>The document at <c>/openapi/v1.json</c>: valid by the specification, and true of what the server really answers.</summary>
[Collection(DemoCollection.Name)]
public sealed class OpenApiDocumentTests(DemoServer server)
{
    private const string Tool = "\"tools\": [{\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"type\": \"object\"}}], "
        + "\"tool_choice\": \"none\"";
    private const string Messages = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";

    /// <summary>Path in the document, and a request to it; without a body it is a GET.</summary>
    private static readonly (string Path, string Target, string? Body)[] Requests =
    [
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3}"),
        ("/v1/completions", "/v1/completions",
            "{\"prompt\": \"x\", \"max_tokens\": 3, \"logprobs\": 2, \"n\": 2, \"speculation\": \"staged\"}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3, \"logprobs\": 2, \"stream\": true, "
            + "\"stream_options\": {\"include_usage\": true}}"),
        ("/v1/completions", "/v1/completions",
            "{\"prompt\": \"x\", \"max_tokens\": 6, \"stream\": true, \"speculation\": \"staged\", \"speculation_events\": true}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x = 1\", \"max_tokens\": 1, \"logprobs\": 1, \"echo\": true}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": 5}"),
        ("/v1/completions", "/v1/completions", "{\"model\": \"other\"}"),
        ("/v1/chat/completions", "/v1/chat/completions", $"{{{Messages}, \"max_tokens\": 3, \"logprobs\": true, \"top_logprobs\": 1}}"),
        ("/v1/chat/completions", "/v1/chat/completions", $"{{{Messages}, \"max_tokens\": 3, \"logprobs\": true, \"stream\": true}}"),
        ("/v1/chat/completions", "/v1/chat/completions", "{\"messages\": []}"),
        ("/v1/responses", "/v1/responses", $"{{\"input\": \"hi\", \"max_output_tokens\": 3, \"include\": "
            + $"[\"message.output_text.logprobs\"], \"top_logprobs\": 1, {Tool}}}"),
        ("/v1/responses", "/v1/responses", $"{{\"input\": \"hi\", \"max_output_tokens\": 3, \"stream\": true, {Tool}, \"user\": \"me\", "
            + "\"metadata\": {\"a\": \"b\"}}"),
        ("/v1/responses", "/v1/responses", "{\"input\": 5}"),
        ("/v1/responses/input_tokens", "/v1/responses/input_tokens", "{\"input\": \"hi\"}"),
        ("/v1/responses/{id}", "/v1/responses/resp_1", null),
        ("/v1/responses/{id}/input_items", "/v1/responses/resp_1/input_items", null),
        ("/v1/responses/{id}/cancel", "/v1/responses/resp_1/cancel", "{}"),
        ("/v1/messages", "/v1/messages", $"{{{Messages}, \"max_tokens\": 3}}"),
        ("/v1/messages", "/v1/messages", $"{{{Messages}, \"max_tokens\": 3, \"stream\": true}}"),
        ("/v1/messages", "/v1/messages", $"{{{Messages}}}"),
        ("/v1/messages/count_tokens", "/v1/messages/count_tokens", $"{{{Messages}}}"),
        ("/v1/embeddings", "/v1/embeddings", "{\"input\": [\"a\", \"b c\"]}"),
        ("/v1/embeddings", "/v1/embeddings", "{\"input\": \"a\", \"encoding_format\": \"base64\", \"dimensions\": 3}"),
        ("/v1/embeddings", "/v1/embeddings", "{\"input\": \"\"}"),
        ("/v1/chat/completions", "/v1/chat/completions",
            $"{{{Messages}, \"max_tokens\": 3, \"prediction\": {{\"type\": \"content\", \"content\": \"a b c\"}}}}"),
        ("/props", "/props", null),
        ("/slots", "/slots", null),
        ("/v1/models", "/v1/models", null),
        ("/v1/models/{name}", "/v1/models/demo", null),
        ("/v1/models/{name}", "/v1/models/other", null),
        ("/tokenize", "/tokenize", "{\"text\": \"a b\", \"with_pieces\": true}"),
        ("/tokenize", "/tokenize", "{\"text\": \"a b\"}"),
        ("/detokenize", "/detokenize", "{\"tokens\": [5, 6]}"),
        ("/health", "/health", null),
        ("/metrics", "/metrics", null),
        ("/openapi/v1.json", "/openapi/v1.json", null),
    ];

    [Fact]
    public async Task It_is_valid_and_every_answer_is_as_it_says()
    {
        var document = new DocumentCheck(await (await server.Client.GetAsync("/openapi/v1.json")).JsonAsync());
        Assert.Empty(document.Problems);
        foreach ((string path, string target, string? body) in Requests)
        {
            using HttpResponseMessage response = body is null ? await server.Client.GetAsync(target) : await server.PostAsync(target, body);
            MediaTypeHeaderValue type = response.Content.Headers.ContentType!;
            IEnumerable<JsonNode> bodies = type.MediaType switch
            {
                "text/event-stream" when path is "/v1/responses" or "/v1/messages" => await response.NamedEventsAsync(),
                "text/event-stream" => await response.ChunksAsync(),
                "application/json" => [await response.JsonAsync()],
                _ => [await response.Content.ReadAsStringAsync()],
            };
            foreach (JsonNode item in bodies)
            {
                Assert.Null(document.Problem(path, body is null ? "get" : "post", (int)response.StatusCode, type.MediaType!, item));
            }
        }

        Assert.StartsWith("3.1", document.Version);
        // Nothing in the document was left unasked.
        Assert.Equal(Requests.Select(request => request.Path).Distinct().Order(), document.Paths.Order());
    }

    [Theory]
    [InlineData("/health", """{"status": "ok"}""", true)]
    [InlineData("/health", """{"status": 1}""", false)]
    [InlineData("/health", "{}", false)]
    [InlineData("/health", """{"status": "ok", "more": 1}""", false)]
    [InlineData("/nowhere", "{}", false)]
    public async Task An_answer_that_the_document_does_not_describe_is_seen(string path, string body, bool described)
    {
        var document = new DocumentCheck(await (await server.Client.GetAsync("/openapi/v1.json")).JsonAsync());
        Assert.Equal(described, document.Problem(path, "get", 200, "application/json", JsonNode.Parse(body)!) is null);
    }

    [Theory]
    [InlineData("info", "title")]
    [InlineData("paths./tokenize.post.requestBody.content.application/json.schema", "type")]
    [InlineData("paths./tokenize.post.requestBody.content.application/json.schema.properties", "text")]
    public async Task A_document_that_is_wrong_is_seen(string place, string broken)
    {
        JsonNode document = await (await server.Client.GetAsync("/openapi/v1.json")).JsonAsync();
        JsonNode spoilt = place.Split('.').Aggregate(document, (node, name) => node[name]!);
        // A misspelt keyword or field, or a schema that is none.
        spoilt[broken + (place.EndsWith("properties", StringComparison.Ordinal) ? "" : "x")] = 5;
        Assert.NotEmpty(new DocumentCheck(document).Problems);
    }
}
