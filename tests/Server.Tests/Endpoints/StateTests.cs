using System.Net;
using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary><c>/props</c>, <c>/slots</c>, model names, and methods that every path answers.</summary>
public sealed class StateTests : IAsyncLifetime
{
    private ScriptedServer _server = null!;

    public async Task InitializeAsync() => _server = await ScriptedServer.StartAsync(
        new ServerOptions { MaxQueue = 7, Speculation = SpeculationMode.Ngram },
        model: ScriptedServer.Model() with { Aliases = ["org/name"], HiddenSize = 192 });

    public async Task DisposeAsync() => await _server.DisposeAsync();

    private async Task<JsonNode> GetAsync(string path) => await (await _server.Client.GetAsync(path)).JsonAsync();

    [Fact]
    public async Task Props_say_what_is_served()
    {
        JsonNode props = await GetAsync("/props");
        Assert.Equal(64, (int)props["default_generation_settings"]!["n_ctx"]!);
        Assert.Equal(1, (float)props["default_generation_settings"]!["params"]!["temperature"]!);
        Assert.Equal((1, 4096, 192), ((int)props["total_slots"]!, (int)props["vocabulary_size"]!, (int)props["embedding_size"]!));
        Assert.Equal("ngram", (string)props["speculation"]!["default"]!);
        Assert.Equal(["auto", "off", "ngram"], props["speculation"]!["modes"]!.AsArray().Select(mode => (string)mode!));
        Assert.False((bool)props["fill_in_the_middle"]!);
        Assert.Matches("^[0-9]+\\.[0-9]+", (string)props["build_info"]!);
    }

    [Fact]
    public async Task Slots_show_what_runs_and_what_waits_in_its_order_without_any_text()
    {
        Assert.False((bool)(await GetAsync("/slots"))["slots"]![0]!["is_processing"]!);
        Task<HttpResponseMessage> first = _server.PostAsync("/v1/completions", "{\"prompt\": [1, 2, 3], \"n\": 2}");
        GenerationJob job = await _server.TakeAsync();
        Task<HttpResponseMessage> second = _server.PostAsync("/v1/completions", "{\"prompt\": \"secret words\"}");
        await ScriptedServer.UntilAsync(() => _server.App.Queue.Depth == 1);
        Task<HttpResponseMessage> third =
            _server.PostAsync("/v1/chat/completions", "{\"messages\": [{\"role\": \"user\", \"content\": \"secret words\"}]}");
        await ScriptedServer.UntilAsync(() => _server.App.Queue.Depth == 2);
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "secret words");
        ScriptedServer.Say(job, "secret words");

        JsonNode slots = await GetAsync("/slots");
        Assert.DoesNotContain("secret", slots.ToJsonString(), StringComparison.Ordinal);
        JsonNode slot = slots["slots"]!.AsArray().Single()!;
        Assert.True((bool)slot["is_processing"]!);
        JsonNode task = slot["task"]!;
        Assert.Equal("/v1/completions", (string)task["endpoint"]!);
        Assert.Equal((2, 0, 6, 3, 2),
            ((int)task["choices"]!, (int)task["choices_done"]!, (int)task["n_prompt"]!, (int)task["n_prompt_done"]!,
                (int)task["n_decoded"]!));
        Assert.Equal(1, (double)task["tokens_per_batch"]!);
        Assert.Equal(7, (int)slots["places"]!);
        JsonArray waiting = slots["waiting"]!.AsArray();
        Assert.Equal([(1, "/v1/completions"), (2, "/v1/chat/completions")],
            waiting.Select(one => ((int)one!["place"]!, (string)one["endpoint"]!)));
        Assert.Equal(3, waiting.Select(one => (string)one!["id"]!).Append((string)task["id"]!).Distinct().Count());

        _server.Finish(job);
        _server.Finish(await _server.TakeAsync());
        _server.Finish(await _server.TakeAsync());
        Assert.Equal((string)task["id"]!, (await first).Headers.GetValues("x-request-id").Single());
        Assert.All([await second, await third], answer => Assert.Equal(HttpStatusCode.OK, answer.StatusCode));
        Assert.False((bool)(await GetAsync("/slots"))["slots"]![0]!["is_processing"]!);
    }

    [Theory]
    [InlineData("/v1/models/org/name")]
    [InlineData("/v1/models/org%2Fname")]
    [InlineData("/v1/models/org%2fname")]
    public async Task A_name_with_a_slash_may_be_encoded(string path) => Assert.Equal("org/name", (string)(await GetAsync(path))["id"]!);

    [Theory]
    [InlineData("/v1/models")]
    [InlineData("/props")]
    [InlineData("/slots")]
    [InlineData("/openapi/v1.json")]
    public async Task What_answers_GET_answers_HEAD_and_says_so(string path)
    {
        HttpResponseMessage got = await _server.Client.GetAsync(path);
        HttpResponseMessage head = await _server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, path));
        Assert.Equal((HttpStatusCode.OK, got.Content.Headers.ContentLength), (head.StatusCode, head.Content.Headers.ContentLength));
        Assert.Empty(await head.Content.ReadAsByteArrayAsync());
        HttpResponseMessage options = await _server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Options, path));
        Assert.Equal(HttpStatusCode.NoContent, options.StatusCode);
        Assert.Equal(["GET", "HEAD"], options.Content.Headers.Allow.Order());
    }
}
