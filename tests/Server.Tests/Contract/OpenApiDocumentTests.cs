using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Tests.Clients;

namespace Understory.Server.Tests.Contract;

/// <summary>The document at <c>/openapi/v1.json</c>: valid by the specification, and true of what the server really answers.</summary>
[Collection(DemoCollection.Name)]
public sealed class OpenApiDocumentTests(DemoServer server)
{
    private const string Tool = "\"tools\": [{\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"type\": \"object\"}}], \"tool_choice\": \"none\"";
    private const string Messages = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";

    /// <summary>Path in the document, and a request to it; without a body it is a GET.</summary>
    private static readonly (string Path, string Target, string? Body)[] Requests =
    [
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3, \"logprobs\": 2, \"n\": 2, \"speculation\": \"staged\"}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 3, \"logprobs\": 2, \"stream\": true, \"stream_options\": {\"include_usage\": true}}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 6, \"stream\": true, \"speculation\": \"staged\", \"speculation_events\": true}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": \"x = 1\", \"max_tokens\": 1, \"logprobs\": 1, \"echo\": true}"),
        ("/v1/completions", "/v1/completions", "{\"prompt\": 5}"),
        ("/v1/completions", "/v1/completions", "{\"model\": \"other\"}"),
        ("/v1/chat/completions", "/v1/chat/completions", $"{{{Messages}, \"max_tokens\": 3, \"logprobs\": true, \"top_logprobs\": 1}}"),
        ("/v1/chat/completions", "/v1/chat/completions", $"{{{Messages}, \"max_tokens\": 3, \"logprobs\": true, \"stream\": true}}"),
        ("/v1/chat/completions", "/v1/chat/completions", "{\"messages\": []}"),
        ("/v1/responses", "/v1/responses", $"{{\"input\": \"hi\", \"max_output_tokens\": 3, \"include\": [\"message.output_text.logprobs\"], \"top_logprobs\": 1, {Tool}}}"),
        ("/v1/responses", "/v1/responses", $"{{\"input\": \"hi\", \"max_output_tokens\": 3, \"stream\": true, {Tool}, \"user\": \"me\", \"metadata\": {{\"a\": \"b\"}}}}"),
        ("/v1/responses", "/v1/responses", "{\"input\": 5}"),
        ("/v1/responses/input_tokens", "/v1/responses/input_tokens", "{\"input\": \"hi\"}"),
        ("/v1/responses/{id}", "/v1/responses/resp_1", null),
        ("/v1/messages", "/v1/messages", $"{{{Messages}, \"max_tokens\": 3}}"),
        ("/v1/messages", "/v1/messages", $"{{{Messages}, \"max_tokens\": 3, \"stream\": true}}"),
        ("/v1/messages", "/v1/messages", $"{{{Messages}}}"),
        ("/v1/messages/count_tokens", "/v1/messages/count_tokens", $"{{{Messages}}}"),
        ("/v1/embeddings", "/v1/embeddings", "{\"input\": [\"a\", \"b c\"]}"),
        ("/v1/embeddings", "/v1/embeddings", "{\"input\": \"a\", \"encoding_format\": \"base64\", \"dimensions\": 3}"),
        ("/v1/embeddings", "/v1/embeddings", "{\"input\": \"\"}"),
        ("/v1/chat/completions", "/v1/chat/completions", $"{{{Messages}, \"max_tokens\": 3, \"prediction\": {{\"type\": \"content\", \"content\": \"a b c\"}}}}"),
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

    [NodeFact("@apidevtools/swagger-parser")]
    public async Task It_is_valid_and_every_answer_is_as_it_says()
    {
        JsonNode document = await (await server.Client.GetAsync("/openapi/v1.json")).JsonAsync();
        var answers = new JsonArray();
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
                answers.Add(new JsonObject
                {
                    ["path"] = path,
                    ["method"] = body is null ? "get" : "post",
                    ["status"] = (int)response.StatusCode,
                    ["type"] = type.MediaType,
                    ["body"] = item.DeepClone(),
                });
            }
        }

        JsonNode seen = await ValidateAsync(new JsonObject { ["document"] = document, ["answers"] = answers });
        Assert.Equal([], seen["problems"]!.AsArray().Select(problem => (string)problem!));
        Assert.StartsWith("3.1", (string)seen["version"]!);
        // Nothing in the document was left unasked.
        Assert.Equal(Requests.Select(request => request.Path).Distinct().Order(), seen["paths"]!.AsArray().Select(path => (string)path!).Order());
    }

    [NodeFact("@apidevtools/swagger-parser")]
    public async Task An_answer_that_the_document_does_not_describe_would_be_seen()
    {
        JsonNode document = await (await server.Client.GetAsync("/openapi/v1.json")).JsonAsync();
        static JsonObject Answer(string path, string body) => new()
        {
            ["path"] = path,
            ["method"] = "get",
            ["status"] = 200,
            ["type"] = "application/json",
            ["body"] = JsonNode.Parse(body),
        };
        JsonNode seen = await ValidateAsync(new JsonObject
        {
            ["document"] = document,
            ["answers"] = new JsonArray(
                Answer("/health", "{\"status\": \"ok\"}"), Answer("/health", "{\"status\": 1}"), Answer("/health", "{}"), Answer("/health", "{\"status\": \"ok\", \"more\": 1}"), Answer("/nowhere", "{}")),
        });
        Assert.Equal(4, seen["problems"]!.AsArray().Count);
    }

    private static async Task<JsonNode> ValidateAsync(JsonObject input)
    {
        var start = new ProcessStartInfo("node", ["openapi.mjs"])
        {
            WorkingDirectory = NodeFactAttribute.Folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
        };
        using Process node = Process.Start(start)!;
        Task<string> errors = node.StandardError.ReadToEndAsync();
        await node.StandardInput.WriteAsync(input.ToJsonString());
        node.StandardInput.Close();
        string output = await node.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(1));
        Assert.True(output.Length > 0, await errors);
        return JsonNode.Parse(output)!;
    }
}
