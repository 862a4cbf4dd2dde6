using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary>Bodies, names and numbers as clients really send them.</summary>
public sealed class ProtocolTests : IAsyncLifetime
{
    private ScriptedServer _server = null!;

    public async Task InitializeAsync() => _server = await ScriptedServer.StartAsync();

    public async Task DisposeAsync() => await _server.DisposeAsync();

    private async Task<JsonNode> AnsweredAsync(Task<HttpResponseMessage> asked, string text = "a")
    {
        if (await Task.WhenAny(asked, Task.Delay(100)) == asked)
        {
            Assert.Fail(await (await asked).Content.ReadAsStringAsync());
        }

        GenerationJob job = await _server.TakeAsync();
        ScriptedServer.Say(job, text);
        _server.Finish(job);
        return await (await asked).JsonAsync();
    }

    [Theory]
    [InlineData("/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [{\"type\": \"function\", "
        + "\"function\": {\"name\": \"f\", \"parameters\": {\"description\": \"\\udc00\"}}}]}", "tools[0].function.parameters.description")]
    [InlineData("/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"response_format\": {\"type\": "
        + "\"json_schema\", \"json_schema\": {\"name\": \"n\", \"schema\": {\"title\": \"\\ud83d\"}}}}",
        "response_format.json_schema.schema.title")]
    [InlineData("/v1/responses", "{\"input\": \"x\", \"metadata\": {\"a\": \"cut \\uD83D\"}}", "metadata.a")]
    [InlineData("/v1/responses", "{\"input\": \"x\", \"unknown\": [1, {\"b\": \"\\ud800\\u0041\"}]}", "unknown[1].b")]
    [InlineData("/v1/responses", "{\"input\": \"x\", \"metadata\": {\"\\ud800\": \"a\"}}", "metadata")]
    public async Task Text_that_is_none_is_refused_wherever_it_stands(string path, string body, string field) =>
        Assert.Contains("not valid Unicode", await (await _server.PostAsync(path, body)).ErrorAsync(400, field));

    [Fact]
    public async Task Half_a_pair_in_a_calls_arguments_is_repaired()
    {
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(null)));
        Task<HttpResponseMessage> asked = server.PostAsync("/v1/messages", "{\"max_tokens\": 50, \"messages\": [{\"role\": \"user\", "
            + "\"content\": \"x\"}], \"tools\": [{\"name\": \"f\", \"input_schema\": {\"type\": \"object\"}}]}");
        GenerationJob job = await server.TakeAsync();
        ScriptedServer.Say(job, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"cut \\ud83d\", \"b\": "
            + "\"\\ud83d\\ude00\"}}</tool_call>");
        server.Finish(job);
        JsonNode input = (await (await asked).JsonAsync())["content"]![0]!["input"]!;
        Assert.Equal(("cut \uFFFD", "😀"), ((string)input["a"]!, (string)input["b"]!));
    }

    [Theory]
    [InlineData("-1", "-1")]
    [InlineData("1e18", "1000000000000000000")]
    [InlineData("16.0", "16")]
    [InlineData("18446744073709551615", "18446744073709551615")]
    [InlineData("-9223372036854775808", "-9223372036854775808")]
    [InlineData("9007199254740993", "9007199254740993")]
    public async Task A_seed_in_any_spelling_is_told_back(string seed, string told)
    {
        JsonNode body = await AnsweredAsync(_server.PostAsync("/v1/completions", $"{{\"prompt\": \"x\", \"seed\": {seed}}}"));
        Assert.Equal(told, body["seed"]!.ToJsonString());
    }

    [Theory]
    [InlineData("gzip")]
    [InlineData("deflate")]
    [InlineData("br")]
    public async Task A_packed_body_is_read(string encoding)
    {
        using var content = Packed("{\"text\": \"a b\"}"u8.ToArray(), encoding);
        HttpResponseMessage response = await _server.Client.PostAsync("/tokenize", content);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal((await (await _server.PostAsync("/tokenize", "{\"text\": \"a b\"}")).JsonAsync()).ToJsonString(),
            (await response.JsonAsync()).ToJsonString());
    }

    [Fact]
    public async Task A_packed_body_is_held_to_the_limit_once_unpacked()
    {
        using var content = Packed(new byte[50_000_000], "gzip");
        Assert.Contains("8 MiB", await (await _server.Client.PostAsync("/tokenize", content)).ErrorAsync(413));
        using var broken = Packed("{}"u8.ToArray(), "gzip");
        broken.Headers.ContentEncoding.Clear();
        broken.Headers.ContentEncoding.Add("deflate");
        Assert.Contains("unpacked", await (await _server.Client.PostAsync("/tokenize", broken)).ErrorAsync(400));
    }

    [Fact]
    public async Task A_packing_that_is_not_read_is_refused()
    {
        using var content = new StringContent("{}", Encoding.UTF8, "application/json");
        content.Headers.ContentEncoding.Add("zstd");
        Assert.Contains("gzip", await (await _server.Client.PostAsync("/tokenize", content)).ErrorAsync(415));
    }

    [Fact]
    public async Task A_body_that_says_that_it_is_too_long_is_refused_before_it_comes()
    {
        string answer = await RawConnection.ExchangeAsync(_server.App.Address,
            "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: "
                + "99999999\r\n\r\n{");
        Assert.StartsWith("HTTP/1.1 413 ", answer);
    }

    [Fact]
    public async Task What_curl_sends_without_a_type_is_read_where_it_is_JSON()
    {
        using var content = new StringContent("{\"text\": \"a b\"}", Encoding.UTF8, "application/x-www-form-urlencoded");
        Assert.Equal(HttpStatusCode.OK, (await _server.Client.PostAsync("/tokenize", content)).StatusCode);
    }

    [Fact]
    public async Task Health_is_open_with_a_slash_too()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["k"] });
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health/")).StatusCode);
        await (await server.Client.GetAsync("/metrics/")).ErrorAsync(401);
        JsonNode document = JsonNode.Parse(await GetAsync(server, "/openapi/v1.json"))!;
        Assert.Equal(2, document["security"]!.AsArray().Count);
        Assert.Empty(document["paths"]!["/health"]!["get"]!["security"]!.AsArray());
    }

    [Theory]
    [InlineData("POST", "/v1/responses/compact")]
    [InlineData("PUT", "/v1/responses/resp_1")]
    [InlineData("GET", "/v1/responses/resp_1/nothing")]
    public async Task Unknown_paths_below_responses_are_not_found(string method, string path)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        await (await _server.Client.SendAsync(request)).ErrorAsync(404);
    }

    [Fact]
    public async Task Models_have_Anthropics_shape_for_who_speaks_it()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        server.Client.DefaultRequestHeaders.Add("anthropic-version", "2023-06-01");
        JsonNode models = await (await server.Client.GetAsync("/v1/models")).JsonAsync();
        Assert.Equal(["data", "first_id", "has_more", "last_id"], models.AsObject().Select(field => field.Key).Order());
        Assert.Equal("{\"type\":\"model\",\"id\":\"scripted\",\"display_name\":\"scripted\",\"created_at\":\"1970-01-01T00:00:00Z\"}",
            models["data"]![0]!.ToJsonString());
        Assert.Equal("alias", (string)(await (await server.Client.GetAsync("/v1/models/alias")).JsonAsync())["id"]!);
        JsonNode error = await (await server.Client.GetAsync("/v1/models/other")).JsonAsync();
        Assert.Equal("error", (string)error["type"]!);
    }

    [Fact]
    public async Task The_alias_of_every_name_serves_all_and_the_answer_names_what_really_did()
    {
        Assert.Contains("--alias '*'", await (await _server.PostAsync("/v1/completions", "{\"model\": \"gpt-4o\"}"))
            .ErrorAsync(404, "model", "model_not_found"));
        await using ScriptedServer server = await ScriptedServer.StartAsync(model: ScriptedServer.Model() with
        {
            Aliases = ["*",
            "alias"]
        });
        Task<HttpResponseMessage> asked = server.PostAsync("/v1/completions", "{\"model\": \"gpt-4o\", \"prompt\": \"x\"}");
        GenerationJob job = await server.TakeAsync();
        server.Finish(job);
        Assert.Equal("scripted", (string)(await (await asked).JsonAsync())["model"]!);
        JsonNode models = JsonNode.Parse(await server.Client.GetStringAsync("/v1/models"))!;
        Assert.Equal(["scripted", "alias"], models["data"]!.AsArray().Select(model => (string)model!["id"]!));
        Assert.Equal("scripted", (string)JsonNode.Parse(await server.Client.GetStringAsync("/v1/models/gpt-4o"))!["id"]!);
    }

    [Theory]
    [InlineData("{\"content\": \"a<|endoftext|>\", \"parse_special\": false}", "{\"content\": \"a<|endoftext|>\"}")]
    public async Task Special_tokens_in_a_text_may_be_text(string literal, string parsed)
    {
        int Count(JsonNode body) => (int)body["count"]!;
        Assert.True(Count(await (await _server.PostAsync("/tokenize", literal)).JsonAsync())
            > Count(await (await _server.PostAsync("/tokenize", parsed)).JsonAsync()));
    }

    /// <summary>In tools' results and earlier turns a note stands for a picture; in the user's last turn it is refused by name.</summary>
    [Theory]
    [InlineData("/v1/chat/completions", "\"messages\": [{\"role\": \"user\", \"content\": [PART]}, {\"role\": \"assistant\", \"content\": "
        + "\"b\"}, {\"role\": \"user\", \"content\": \"c\"}]", "{\"type\": \"image_url\", \"image_url\": {\"url\": \"data:,\"}}", null)]
    [InlineData("/v1/chat/completions", "\"messages\": [{\"role\": \"user\", \"content\": [PART]}]",
        "{\"type\": \"image_url\", \"image_url\": {\"url\": \"data:,\"}}", "messages[0].content[0]")]
    [InlineData("/v1/responses", "\"input\": [{\"role\": \"user\", \"content\": \"q\"}, {\"type\": \"function_call\", \"call_id\": \"c\", "
        + "\"name\": \"f\", \"arguments\": \"{}\"}, {\"type\": \"function_call_output\", \"call_id\": \"c\", \"output\": [PART]}]",
        "{\"type\": \"input_image\", \"image_url\": \"data:,\"}", null)]
    [InlineData("/v1/responses", "\"input\": [{\"role\": \"user\", \"content\": [PART]}]",
        "{\"type\": \"input_image\", \"image_url\": \"data:,\"}", "input[0].content[0]")]
    [InlineData("/v1/messages", "\"max_tokens\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", "
        + "\"content\": [{\"type\": \"tool_use\", \"id\": \"t\", \"name\": \"f\", \"input\": {}}]}, {\"role\": \"user\", \"content\": "
        + "[{\"type\": \"tool_result\", \"tool_use_id\": \"t\", \"content\": [PART]}]}]",
        "{\"type\": \"image\", \"source\": {\"type\": \"base64\"}}", null)]
    [InlineData("/v1/messages", "\"max_tokens\": 1, \"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
        + "\"q\"}, "
        + "PART]}]", "{\"type\": \"image\", \"source\": {\"type\": \"base64\"}}", "messages[0].content[1]")]
    public async Task A_picture_is_a_note_in_the_past_and_refused_in_the_present(string path, string fields, string part, string? refused)
    {
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(null)));
        Task<HttpResponseMessage> asked = server.PostAsync(path, $"{{{fields.Replace("PART", part, StringComparison.Ordinal)}}}");
        if (refused is not null)
        {
            Assert.Equal(400, (int)(await asked).StatusCode);
            Assert.Contains(refused, (string)(await (await asked).JsonAsync())["error"]!["message"]!);
            return;
        }

        GenerationJob job = await server.TakeAsync();
        Assert.Contains("[A picture that this model cannot see]", ScriptedServer.PromptOf(job));
        server.Finish(job);
        Assert.True((await asked).IsSuccessStatusCode);
    }

    private static async Task<string> GetAsync(ScriptedServer server, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Authorization = new("Bearer", "k");
        return await (await server.Client.SendAsync(request)).Content.ReadAsStringAsync();
    }

    private static ByteArrayContent Packed(byte[] body, string encoding)
    {
        var bytes = new MemoryStream();
        using (Stream packing = encoding switch
        {
            "gzip" => new GZipStream(bytes, CompressionLevel.Fastest, leaveOpen: true),
            "deflate" => new ZLibStream(bytes, CompressionLevel.Fastest, leaveOpen: true),
            _ => new BrotliStream(bytes, CompressionLevel.Fastest, leaveOpen: true),
        })
        {
            packing.Write(body);
        }

        var content = new ByteArrayContent(bytes.ToArray());
        content.Headers.ContentType = new("application/json");
        content.Headers.ContentEncoding.Add(encoding);
        return content;
    }
}
