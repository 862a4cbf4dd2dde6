using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Json.Schema;
using Understory.Server.Hosting;
using Understory.Server.Tests.Load;
using Xunit.Abstractions;

namespace Understory.Server.Tests.Contract;

/// <summary>
/// What the document calls valid the server takes, and what it calls invalid the server refuses: over every property of every operation
/// with many values, and over generated bodies. The server's only place is taken, so a request that it takes is answered with 429.
/// </summary>
public sealed class AgreementTests(ITestOutputHelper output)
{
    private const int Bodies = 3000;

    private static readonly string[] Values =
    [
        "true", "false", "0", "-1", "-2", "1", "2", "3", "0.5", "-0.5", "1.0", "2e0", "20", "21", "64", "65", "100", "128", "129", "4096",
        "2147483647", "2147483648", "9007199254740993", "9223372036854775808", "18446744073709551615", "18446744073709551616", "1e18",
        "1e30", "1.5e0", "-0", "-9223372036854775808", "-9223372036854775809",
        "\"\"", "\"x\"", "\"auto\"", "\"none\"", "\"required\"", "\"off\"", "\"ngram\"", "\"low\"", "\"float\"", "\"disabled\"", "\"a b\"",
        "\"1\"", "\"user\"", "\"{}\"",
        "[]", "[\"\"]", "[\"x\"]", "[\"x\",\"y\"]", "[0]", "[0,1.0]", "[-1]", "[1.5]", "[[]]", "[[0]]", "[null]", "[true]", "[{}]",
        "[\"text\"]", "[{\"type\":\"text\",\"text\":\"x\"}]", "[{\"role\":\"user\",\"content\":\"x\"}]",
        "[{\"role\":\"assistant\",\"content\":null},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]",
        "[{\"role\":\"user\",\"content\":[]}]", "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":null}}]",
        "[{\"type\":\"function\",\"name\":\"f\"}]", "[{\"name\":\"f\",\"input_schema\":{}}]", "[{\"name\":\"f\"}]",
        "[{\"type\":\"web_search\"}]", "{}", "{\"type\":null}", "{\"type\":\"text\"}", "{\"type\":\"json_object\"}",
        "{\"type\":\"json_schema\"}", "{\"type\":\"auto\"}", "{\"type\":\"enabled\",\"budget_tokens\":0}", "{\"a\":1}", "{\"a\":\"b\"}",
        "{\"5\":1}", "{\"5\":101}", "{\"effort\":\"low\"}", "{\"effort\":\"x\"}", "{\"include_usage\":1}", "{\"edits\":[]}",
        "{\"edits\":[1]}", "{\"format\":{\"type\":\"text\"}}", "{\"name\":\"f\"}", "{\"choice\":[]}", "{\"regex\":\"a\"}",
    ];

    /// <summary>What no schema of a single field says: the field that is named, and the rule.</summary>
    private static readonly (string Field, string Rule)[] Rules =
    [
        ("^prompt|^tokens|^input|^logit_bias", "token ids are those of the vocabulary"),
        ("^dimensions", "at most the model's own"),
        ("^top_logprobs$", "only beside logprobs"),
        ("^stream_options$|^speculation_events$", "only beside stream"),
        ("^best_of$|^n$", "at least n, not streamed, and not too many answers in all"),
        ("^echo$|^suffix$", "not both, and only where the vocabulary can"),
        ("^speculation$", "only with what was loaded"),
        ("^add_generation_prompt$", "false exactly beside continue_final_message"),
        ("^tool_choice$|^function_call$", "of tools that are there"),
        (@"^(tools|functions)\[\d+\].*name$", "names differ"),
        ("^(json_schema|guided_json|response_format|regex|guided_regex|grammar|guided_grammar|ebnf|guided_choice|structured_outputs"
            + "|text.format|output_config.format|output_format|tools)", "schemas and grammars are compiled, and at most one is given"),
        (@"^messages\[0\]\.role$", "a tool's result follows a call"),
        (@"^(messages|input)\[\d+\]\.content\[\d+\]$", "no picture in the user's last message"),
        (@"tool_use_id$|call_id$", "of a call before it"),
        ("^messages$|^input$", "what is continued is there, calls have results, and the prompt fits"),
        ("^text$", "one of text, content and prompt"),
    ];

    [Fact]
    public async Task Server_and_document_agree_on_every_property_and_on_generated_bodies()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 0 },
            model: ScriptedServer.Model(ScriptedServer.Renderer(null)));
        Task<HttpResponseMessage> first = server.PostAsync("/v1/completions", "{}");
        GenerationJob job = await server.TakeAsync();
        string text = await server.Client.GetStringAsync("/openapi/v1.json");
        JsonNode document = JsonNode.Parse(text)!;
        var differ = new List<string>();
        int asked = 0;
        foreach ((string path, JsonNode? item) in document["paths"]!.AsObject())
        {
            if (item!["post"]?["requestBody"]?["content"]!["application/json"]!["schema"] is not JsonObject schema)
            {
                continue;
            }

            string least = Least(path);
            foreach ((string name, JsonNode? property) in schema["properties"]!.AsObject())
            {
                JsonSchema described = Build(property!);
                foreach (string value in Values.Append("null"))
                {
                    JsonObject body = JsonNode.Parse(least)!.AsObject();
                    body.Remove(name);
                    string rest = body.Count == 0 ? "" : "," + body.ToJsonString()[1..^1];
                    bool required = (schema["required"] as JsonArray)?.Any(member => (string)member! == name) is true;
                    bool valid = described.Evaluate(JsonDocument.Parse(value).RootElement).IsValid && !(value == "null" && required);
                    asked++;
                    await CompareAsync(server, path, $"{{\"{name}\":{value}{rest}}}", valid, differ);
                }
            }
        }

        var fuzzer = new RequestFuzzer(text);
        Dictionary<string, JsonSchema> bodies = document["paths"]!.AsObject()
            .Where(item => item.Value!["post"]?["requestBody"] is not null)
            .ToDictionary(item => item.Key, item => Build(
                item.Value!["post"]!["requestBody"]!["content"]!["application/json"]!["schema"]!));
        for (int seed = 0; seed < Bodies; seed++)
        {
            FuzzedRequest made = fuzzer.Make(seed);
            if (made is { Method: "POST", Body: { } bytes, ContentType: "application/json" } && bodies.TryGetValue(made.Path,
                out JsonSchema? whole)
                && Parsed(bytes) is { } parsed)
            {
                asked++;
                await CompareAsync(server, made.Path, parsed.GetRawText(), whole.Evaluate(parsed).IsValid, differ);
            }
        }

        output.WriteLine($"{asked} requests, {differ.Count} differ");
        Assert.True(differ.Count == 0, $"{differ.Count} of {asked} differ:\n{string.Join('\n', differ.Take(25))}");
        Assert.InRange(asked, 10_000, 100_000);
        server.Finish(job);
        Assert.Equal(HttpStatusCode.OK, (await first).StatusCode);
    }

    private static JsonSchema Build(JsonNode schema) =>
        JsonSchema.Build(JsonSerializer.SerializeToElement(schema), new BuildOptions { Dialect = Dialect.Draft202012 });

    private static string Least(string path) => path switch
    {
        "/v1/chat/completions" or "/v1/messages/count_tokens" => "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "/v1/messages" => "{\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
        "/v1/responses" or "/v1/responses/input_tokens" or "/v1/embeddings" => "{\"input\":\"x\"}",
        "/tokenize" => "{\"text\":\"x\"}",
        "/detokenize" => "{\"tokens\":[5]}",
        _ => "{}",
    };

    /// <summary>An object that both sides read alike: with no name twice, of valid text, not too deep.</summary>
    private static JsonElement? Parsed(byte[] body)
    {
        try
        {
            JsonElement parsed = JsonDocument.Parse(body, new JsonDocumentOptions { AllowDuplicateProperties = false }).RootElement;
            return parsed.ValueKind == JsonValueKind.Object && !parsed.GetRawText().Contains("\\ud", StringComparison.OrdinalIgnoreCase)
                ? parsed : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or ArgumentException)
        {
            return null;
        }
    }

    private static async Task CompareAsync(ScriptedServer server, string path, string body, bool valid, List<string> differ)
    {
        HttpResponseMessage response = await server.PostAsync(path, body);
        int status = (int)response.StatusCode;
        if (status is 200 or 429 or 404)
        {
            if (!valid)
            {
                differ.Add($"{path} took what the document refuses: {Short(body)}");
            }

            return;
        }

        JsonNode error = (await response.JsonAsync())["error"]!;
        string message = (string)error["message"]!;
        string field = (string?)error["param"] ?? message.Split(' ')[0].TrimEnd(':');
        if (status != 400 || (valid && !Rules.Any(rule => Regex.IsMatch(field, rule.Field))))
        {
            differ.Add($"{path} {status} {field}: {message} where the document allows {Short(body)}");
        }
    }

    private static string Short(string body) => body.Length < 200 ? body : body[..200];
}
