using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Decoding.Constraints;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;

namespace Understory.Server.Tests.Endpoints;

/// <summary>Tools of chat completions that take a text: to the model functions of one string, to the client what they are.</summary>
public sealed class CustomToolTests : IAsyncLifetime
{
    private const string Chat = "/v1/chat/completions";
    private const string Hi = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";

    private const string Note =
        "\"tools\": [{\"type\": \"custom\", \"custom\": {\"name\": \"note\", \"description\": \"Writes down.\"}}, {\"type\": "
        + "\"function\", \"function\": {\"name\": \"now\"}}]";

    private const string Call = "<tool_call>\n{\"name\": \"note\", \"arguments\": {\"input\": \"a \\\"b\\\"\\n\"}}\n</tool_call>";

    private ScriptedServer _server = null!;

    public async Task InitializeAsync() =>
        _server = await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(null)));

    public async Task DisposeAsync() => await _server.DisposeAsync();

    /// <param name="said">What the model says, piece by piece.</param>
    private async Task<(GenerationJob Job, HttpResponseMessage Response)> AskAsync(string fields, FinishReason reason,
        params string[] said)
    {
        Task<HttpResponseMessage> asked = _server.PostAsync(Chat, $"{{{fields}}}");
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        foreach (string text in said)
        {
            ScriptedServer.Say(job, text);
        }

        _server.Finish(job, reason);
        return (job, await asked);
    }

    private static string Regex(string pattern, string syntax = "regex") =>
        $"\"tools\": [{{\"type\": \"custom\", \"custom\": {{\"name\": \"note\", \"format\": {{\"type\": \"grammar\", \"grammar\": "
        + $"{{\"syntax\": \"{syntax}\", \"definition\": \"{pattern}\"}}}}}}}}]";

    [Fact]
    public async Task A_custom_tool_is_offered_as_a_function_of_one_string_and_answered_as_what_it_is()
    {
        (GenerationJob job, HttpResponseMessage response) = await AskAsync($"{Hi}, {Note}", FinishReason.Stop, "So.\n" + Call);
        Assert.Contains("{\"name\": \"note\", \"description\": \"Writes down.\", \"parameters\": {\"type\": \"object\", \"properties\": "
            + "{\"input\": {\"type\": \"string\"}}", ScriptedServer.PromptOf(job));
        JsonNode choice = (await response.JsonAsync())["choices"]![0]!;
        Assert.Equal("tool_calls", (string)choice["finish_reason"]!);
        JsonObject call = choice["message"]!["tool_calls"]![0]!.AsObject();
        Assert.Equal(["id", "type", "custom"], call.Select(member => member.Key));
        Assert.Equal("custom", (string)call["type"]!);
        Assert.Equal(("note", "a \"b\"\n"), ((string)call["custom"]!["name"]!, (string)call["custom"]!["input"]!));
    }

    [Fact]
    public async Task A_streamed_custom_call_comes_as_its_name_and_then_its_text()
    {
        (_, HttpResponseMessage response) = await AskAsync($"{Hi}, {Note}, \"stream\": true", FinishReason.Stop,
            "<tool_call>\n{\"name\": \"note\", \"arguments\": {\"inp", "ut\": \"one ", "two\"}}\n</tool_call>",
            "\n<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>");
        List<JsonNode> chunks = await response.ChunksAsync();
        JsonObject[] deltas = [.. chunks.Select(chunk => chunk["choices"]![0]!["delta"]!.AsObject())];
        JsonObject[] calls = [.. deltas.Where(delta => delta.ContainsKey("tool_calls")).Select(d => d["tool_calls"]![0]!.AsObject())];
        Assert.Equal(
            [
                "{\"index\":0,\"id\":\"ID\",\"type\":\"custom\",\"custom\":{\"name\":\"note\",\"input\":\"\"}}",
                "{\"index\":0,\"custom\":{\"input\":\"one two\"}}",
                "{\"index\":1,\"function\":{\"name\":\"now\",\"arguments\":\"\"},\"id\":\"ID\",\"type\":\"function\"}",
                "{\"index\":1,\"function\":{\"arguments\":\"{}\"}}",
            ],
            calls.Select(call => call.ToJsonString().Replace((string?)call["id"] ?? "-", "ID")));
        Assert.Equal("tool_calls", (string)chunks[^1]["choices"]![0]!["finish_reason"]!);
    }

    [Fact]
    public async Task A_custom_call_that_is_cut_is_told_as_far_as_it_came()
    {
        (_, HttpResponseMessage response) = await AskAsync($"{Hi}, {Note}", FinishReason.Length,
            "<tool_call>\n{\"name\": \"note\", \"arguments\": {\"input\": \"one tw");
        JsonNode choice = (await response.JsonAsync())["choices"]![0]!;
        Assert.Equal("length", (string)choice["finish_reason"]!);
        Assert.Equal("one tw", (string)choice["message"]!["tool_calls"]![0]!["custom"]!["input"]!);
    }

    [Fact]
    public async Task Earlier_custom_calls_and_their_results_reach_the_model()
    {
        const string Messages = "\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"tool_calls\": [{"
            + "\"id\": \"c\", \"type\": \"custom\", \"custom\": {\"name\": \"note\", \"input\": \"say \\\"x\\\"\"}}]}, {\"role\": "
            + "\"tool\", \"tool_call_id\": \"c\", \"content\": \"noted\"}]";
        (GenerationJob job, _) = await AskAsync($"{Messages}, {Note}", FinishReason.Stop, "Done.");
        string prompt = ScriptedServer.PromptOf(job);
        Assert.Contains("{\"name\": \"note\", \"arguments\": {\"input\": \"say \\\"x\\\"\"}}", prompt);
        Assert.True(prompt.IndexOf("noted", StringComparison.Ordinal) > prompt.IndexOf("say", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{\"type\": \"custom\", \"custom\": {\"name\": \"note\"}}")]
    [InlineData("{\"type\": \"allowed_tools\", \"allowed_tools\": {\"mode\": \"required\", \"tools\": [{\"type\": \"custom\", \"custom\": "
        + "{\"name\": \"note\"}}]}}")]
    public async Task A_custom_tool_may_be_required(string choice)
    {
        (GenerationJob job, _) = await AskAsync($"{Hi}, {Note}, \"tool_choice\": {choice}", FinishReason.Stop, Call);
        Constraint constraint = job.Choices[0].Constraint!;
        Assert.True(constraint.Matches(Call));
        Assert.False(constraint.Matches("<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
        Assert.False(constraint.Matches("Hello."));
    }

    [Theory]
    [InlineData("\"tool_choice\": \"required\"", "[a-c]+|\\\\d{2}")]
    [InlineData("\"tool_choice\": \"auto\"", "[a-c]+|\\\\d{2}")]
    [InlineData("\"tool_choice\": \"auto\"", "^([a-c]+|\\\\d\\\\d)$")]
    public async Task The_text_is_held_to_its_regular_expression(string choice, string pattern)
    {
        (GenerationJob job, _) = await AskAsync($"{Hi}, {Regex(pattern)}, {choice}", FinishReason.Stop, "x");
        Constraint constraint = job.Choices[0].Constraint!;
        foreach ((string input, bool allowed) in ((string, bool)[])[("abc", true), ("42", true), ("abx", false), ("423", false)])
        {
            string call = $"<tool_call>\n{{\"name\": \"note\", \"arguments\": {{\"input\": \"{input}\"}}}}\n</tool_call>";
            Assert.Equal(allowed, constraint.Matches(call));
        }

        Assert.Equal(choice.Contains("auto", StringComparison.Ordinal), constraint.Matches("Hello."));
    }

    [Fact]
    public async Task The_same_holds_on_responses()
    {
        const string Tool = "{\"type\": \"custom\", \"name\": \"note\", \"format\": {\"type\": \"grammar\", \"syntax\": \"regex\", "
            + "\"definition\": \"[a-c]+\"}}";
        Task<HttpResponseMessage> asked =
            _server.PostAsync("/v1/responses", $"{{\"input\": \"x\", \"tools\": [{Tool}], \"tool_choice\": \"required\"}}");
        GenerationJob job = await _server.TakeAsync();
        const string Written = "<tool_call>\n{\"name\": \"note\", \"arguments\": {\"input\": \"ab\"}}\n</tool_call>";
        Assert.True(job.Choices[0].Constraint!.Matches(Written));
        Assert.False(job.Choices[0].Constraint!.Matches(Written.Replace("ab", "ax")));
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, Written);
        _server.Finish(job);
        HttpResponseMessage response = await asked;
        Assert.False(response.Headers.Contains("X-Understory-Warning"));
        Assert.Equal("ab", (string)(await response.JsonAsync())["output"]![0]!["input"]!);
    }

    [Theory]
    [InlineData("a", "lark", "tools[0].custom.format.grammar.syntax", "lark")]
    [InlineData("(?=a)b", "regex", "tools[0].custom.format.grammar.definition", "look-ahead")]
    [InlineData("(a", "regex", "tools[0].custom.format.grammar.definition", "character")]
    public async Task A_grammar_that_cannot_be_held_names_the_field(string pattern, string syntax, string field, string named) =>
        Assert.Contains(named, await (await _server.PostAsync(Chat,
            $"{{{Hi}, {Regex(pattern, syntax)}, \"tool_choice\": \"required\"}}")).ErrorAsync(400, field));

    [Theory]
    [InlineData("\"tools\": [{\"type\": \"custom\", \"custom\": {}}]", "tools[0].custom.name")]
    [InlineData("\"tools\": [{\"type\": \"custom\"}]", "tools[0].custom")]
    [InlineData(Note + ", \"tool_choice\": {\"type\": \"custom\", \"custom\": {\"name\": \"other\"}}", "tool_choice")]
    public async Task What_cannot_be_names_the_field(string fields, string field) =>
        Assert.NotEmpty(await (await _server.PostAsync(Chat, $"{{{Hi}, {fields}}}")).ErrorAsync(400, field));

    [Theory]
    [InlineData("{\"input\": \"a\\tb\"}", "a\tb")]
    [InlineData("{\"input\": \"a", "a")]
    [InlineData("{\"input\": \"a\\", "a")]
    [InlineData("{\"input\": \"a\\\\", "a\\")]
    [InlineData("{\"input\": \"a\\u00e", "a")]
    [InlineData("{\"inp", "")]
    [InlineData("", "")]
    [InlineData("{\"text\": \"a\"}", "{\"text\": \"a\"}")]
    public void The_text_is_what_came_of_it(string arguments, string text) => Assert.Equal(text, CustomInput.Of(arguments));
}
