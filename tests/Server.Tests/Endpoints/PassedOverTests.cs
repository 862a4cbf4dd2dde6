using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary>What changes nothing is passed over and said; what would change the answer binds.</summary>
public sealed class PassedOverTests : IAsyncLifetime
{
    private const string Chat = "/v1/chat/completions";
    private const string Hi = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]";

    private ScriptedServer _server = null!;

    public async Task InitializeAsync() =>
        _server = await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(null)));

    public async Task DisposeAsync() => await _server.DisposeAsync();

    private async Task<(GenerationJob Job, JsonNode Body, HttpResponseMessage Response)> AskAsync(string path, string fields,
        params string[] said)
    {
        Task<HttpResponseMessage> asked = _server.PostAsync(path, $"{{{fields}}}");
        if (await Task.WhenAny(asked, Task.Delay(100)) == asked)
        {
            Assert.Fail(await (await asked).Content.ReadAsStringAsync());
        }

        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        foreach (string text in said)
        {
            ScriptedServer.Say(job, text);
        }

        _server.Finish(job);
        return (job, await (await asked).JsonAsync(), await asked);
    }

    [Fact]
    public async Task Edits_of_a_context_are_not_made_and_the_answer_says_so()
    {
        const string Fields = $"\"max_tokens\": 5, {Hi}, \"context_management\": {{\"edits\": [{{\"type\": \"clear_thinking_20251015\", "
            + "\"keep\": \"all\"}]}";
        (_, JsonNode body, _) = await AskAsync("/v1/messages", Fields, "yes");
        Assert.Equal("{\"applied_edits\":[]}", body["context_management"]!.ToJsonString());
        (_, body, _) = await AskAsync("/v1/messages", $"\"max_tokens\": 5, {Hi}", "yes");
        Assert.Null(body["context_management"]);
        Assert.Equal(["type", "text"], body["content"]![0]!.AsObject().Select(member => member.Key));
    }

    [Theory]
    [InlineData("/v1/responses", "\"input\": \"x\", \"tools\": [{\"type\": \"function\", \"name\": \"exec\"}, {\"type\": \"web_search\"}, "
        + "{\"type\": \"custom\", \"name\": \"patch\", \"format\": {\"type\": \"grammar\", \"syntax\": \"lark\", \"definition\": \"a\"}}]",
        "tools[1] (web_search) is left out", "tools[2] (patch) is left out")]
    [InlineData("/v1/messages", "\"max_tokens\": 5, " + Hi + ", \"tools\": [{\"name\": \"exec\", \"input_schema\": {\"type\": "
        + "\"object\"}}, "
        + "{\"type\": \"web_search_20250305\", \"name\": \"web_search\"}]", "tools[1] (web_search) is left out", "runs no tools")]
    public async Task Tools_that_cannot_be_run_are_left_out_and_named_in_a_header(string path, string fields, params string[] named)
    {
        (GenerationJob job, _, HttpResponseMessage response) = await AskAsync(path, fields, "no");
        string warning = response.Headers.GetValues("X-Understory-Warning").Single();
        Assert.All(named, name => Assert.Contains(name, warning));
        Assert.Contains("\"exec\"", ScriptedServer.PromptOf(job));
        Assert.DoesNotContain("patch", ScriptedServer.PromptOf(job));
        (_, _, response) = await AskAsync("/v1/responses", "\"input\": \"x\"", "no");
        Assert.False(response.Headers.Contains("X-Understory-Warning"));
    }

    [Fact]
    public async Task A_custom_tool_is_a_function_of_one_string_and_is_answered_as_what_it_is()
    {
        const string Fields = "\"input\": \"x\", \"tools\": [{\"type\": \"custom\", \"name\": \"note\", \"description\": \"Writes.\"}]";
        const string Call = "<tool_call>{\"name\": \"note\", \"arguments\": {\"input\": \"a \\\"b\\\"\"}}</tool_call>";
        (_, JsonNode body, _) = await AskAsync("/v1/responses", Fields, Call);
        JsonNode item = body["output"]![0]!;
        Assert.Equal(("custom_tool_call", "note", "a \"b\""), ((string)item["type"]!, (string)item["name"]!, (string)item["input"]!));

        Task<HttpResponseMessage> asked = _server.PostAsync("/v1/responses", $"{{{Fields}, \"stream\": true}}", stream: true);
        GenerationJob job = await _server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, Call);
        _server.Finish(job);
        List<JsonNode> events = await (await asked).NamedEventsAsync();
        JsonNode done = events.Single(item => (string)item["type"]! == "response.custom_tool_call_input.done");
        Assert.Equal("a \"b\"", (string)done["input"]!);
        Assert.Equal("a \"b\"", (string)events.Single(item => (string)item["type"]! == "response.custom_tool_call_input.delta")["delta"]!);
    }

    [Fact]
    public async Task Functions_of_a_namespace_are_offered_and_answered_with_it()
    {
        const string Fields = "\"input\": \"x\", \"tools\": [{\"type\": \"namespace\", \"name\": \"notes\", \"tools\": [{\"type\": "
            + "\"function\", \"name\": \"find\"}]}, {\"type\": \"function\", \"name\": \"find\"}]";
        (GenerationJob job, JsonNode body, _) =
            await AskAsync("/v1/responses", Fields, "<tool_call>{\"name\": \"notes__find\", \"arguments\": {}}</tool_call>");
        Assert.Contains("\"notes__find\"", ScriptedServer.PromptOf(job));
        JsonNode item = body["output"]![0]!;
        Assert.Equal(("function_call", "find", "notes"), ((string)item["type"]!, (string)item["name"]!, (string)item["namespace"]!));
        (_, body, _) = await AskAsync("/v1/responses", Fields, "<tool_call>{\"name\": \"find\", \"arguments\": {}}</tool_call>");
        Assert.Equal(("find", null), ((string)body["output"]![0]!["name"]!, (string?)body["output"]![0]!["namespace"]));
    }

    [Fact]
    public async Task Items_of_built_in_tools_reach_the_model_as_calls_and_results()
    {
        const string Items = "[{\"role\": \"user\", \"content\": \"q\"}, {\"type\": \"web_search_call\", \"id\": \"ws\", \"status\": "
            + "\"completed\", \"action\": {\"type\": \"search\", \"query\": \"owls\"}}, {\"type\": \"local_shell_call\", \"call_id\": "
                + "\"c\", "
            + "\"action\": {\"command\": [\"ls\"]}}, {\"type\": \"local_shell_call_output\", \"call_id\": \"c\", \"output\": \"a.txt\"}, "
            + "{\"type\": \"custom_tool_call\", \"call_id\": \"d\", \"name\": \"note\", \"input\": \"say \\\"x\\\"\"}, "
            + "{\"type\": \"custom_tool_call_output\", \"call_id\": \"d\", \"output\": \"done\"}, {\"role\": \"user\", \"content\": "
                + "\"go\"}]";
        (GenerationJob job, _, _) = await AskAsync("/v1/responses", $"\"input\": {Items}", "no");
        string prompt = ScriptedServer.PromptOf(job);
        int at = 0;
        foreach (string part in (string[])["web_search", "owls", "completed", "local_shell", "ls", "a.txt", "note", "say \\\"x\\\"",
            "done", "go"])
        {
            at = prompt.IndexOf(part, at, StringComparison.Ordinal);
            Assert.True(at >= 0, $"{part} in its place in {prompt}");
        }
    }

    [Fact]
    public async Task Blocks_of_other_servers_tools_reach_the_model_in_their_order()
    {
        const string Blocks = "[{\"type\": \"server_tool_use\", \"id\": \"s\", \"name\": \"web_search\", \"input\": {\"query\": "
            + "\"owls\"}}, "
            + "{\"type\": \"web_search_tool_result\", \"tool_use_id\": \"s\", \"content\": [{\"title\": \"Strix\"}]}, {\"type\": \"text\", "
            + "\"text\": \"Owls.\"}]";
        (GenerationJob job, _, _) = await AskAsync("/v1/messages", "\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": "
            + "\"q\"}, "
            + $"{{\"role\": \"assistant\", \"content\": {Blocks}}}, {{\"role\": \"user\", \"content\": \"go\"}}]", "no");
        string prompt = ScriptedServer.PromptOf(job);
        Assert.Matches("(?s)web_search.*owls.*Strix.*Owls\\..*go", prompt);
    }

    [Theory]
    [InlineData(Chat, Hi + ", \"top_p\": 0", 1e-9f)]
    [InlineData("/v1/messages", "\"max_tokens\": 5, " + Hi + ", \"top_p\": 0", 1e-9f)]
    public async Task A_top_p_of_0_keeps_the_most_probable_token(string path, string fields, float kept)
    {
        (GenerationJob job, _, _) = await AskAsync(path, fields, "a");
        Assert.Equal(kept, job.Choices[0].Sampling.TopP);
    }

    [Theory]
    [InlineData("\"repeat_penalty\": 1.3", 1.3f, 64)]
    [InlineData("\"repeat_penalty\": 1.3, \"repeat_last_n\": 20", 1.3f, 20)]
    [InlineData("\"repeat_penalty\": 1.3, \"penalty_last_n\": 20", 1.3f, 20)]
    [InlineData("\"repeat_penalty\": 1.3, \"repeat_last_n\": 30, \"penalty_last_n\": 20", 1.3f, 30)]
    [InlineData("\"repeat_penalty\": 1.3, \"repeat_last_n\": -1", 1.3f, 0)]
    [InlineData("\"repeat_penalty\": 1.3, \"repeat_last_n\": 0", 1f, 0)]
    [InlineData("\"repeat_penalty\": 1.3, \"repetition_penalty\": 1.1", 1.1f, 0)]
    [InlineData("\"repetition_penalty\": 1.1", 1.1f, 0)]
    [InlineData("\"repetition_penalty\": 1.1, \"repeat_last_n\": 20", 1.1f, 20)]
    public async Task Penalties_work_by_the_names_of_other_servers_and_look_back_as_far_as_they_do(string fields, float penalty, int window)
    {
        (GenerationJob job, _, _) = await AskAsync(Chat, $"{Hi}, {fields}", "a");
        Assert.Equal((penalty, window), (job.Choices[0].Sampling.RepetitionPenalty, job.Choices[0].Sampling.RepetitionWindow));
    }

    [Theory]
    [InlineData(Chat, Hi + ", \"max_tokens\": -1")]
    [InlineData(Chat, Hi + ", \"n_predict\": -1")]
    [InlineData("/v1/completions", "\"prompt\": \"x\", \"max_tokens\": -1")]
    public async Task Minus_one_is_no_limit_of_length(string path, string fields)
    {
        (GenerationJob job, _, _) = await AskAsync(path, fields, "a");
        Assert.Equal(4096, job.Choices[0].MaxTokens + job.Choices[0].Prompt.Length);
    }

    [Theory]
    [InlineData("\"num_predict\": 7", 7)]
    [InlineData("\"n_predict\": 7, \"max_tokens\": 8", 8)]
    public async Task Lengths_have_their_other_names(string fields, int expected)
    {
        (GenerationJob job, _, _) = await AskAsync(Chat, $"{Hi}, {fields}", "a");
        Assert.Equal(expected, job.Choices[0].MaxTokens);
    }

    [Theory]
    [InlineData("\"guided_choice\": [\"yes\", \"no \\\"really\\\"\"]")]
    [InlineData("\"structured_outputs\": {\"choice\": [\"yes\"]}")]
    [InlineData("\"structured_outputs\": {\"json\": {\"type\": \"object\"}}")]
    [InlineData("\"structured_outputs\": {\"regex\": \"a+\"}")]
    [InlineData("\"structured_outputs\": {\"grammar\": \"root ::= \\\"a\\\"\"}")]
    [InlineData("\"structured_outputs\": {\"json_object\": true}")]
    [InlineData("\"ebnf\": \"root ::= \\\"a\\\"\"")]
    public async Task Forms_bind_by_the_names_of_other_servers(string fields)
    {
        foreach ((string path, string rest) in (IEnumerable<(string, string)>)[(Chat, Hi), ("/v1/completions", "\"prompt\": \"x\"")])
        {
            (GenerationJob job, _, _) = await AskAsync(path, $"{rest}, {fields}", "a");
            Assert.NotNull(job.Choices[0].Constraint);
        }
    }

    [Fact]
    public async Task The_older_name_of_a_messages_form_binds()
    {
        const string Format = "{\"type\": \"json_schema\", \"schema\": {\"type\": \"object\"}}";
        (GenerationJob job, _, _) = await AskAsync("/v1/messages", $"\"max_tokens\": 5, {Hi}, \"output_format\": {Format}", "{}");
        Assert.NotNull(job.Choices[0].Constraint);
    }

    [Fact]
    public async Task Functions_of_older_code_are_called_and_answered_in_their_way()
    {
        const string Functions = "\"functions\": [{\"name\": \"add\", \"parameters\": {\"type\": \"object\"}}]";
        const string Call = "<tool_call>{\"name\": \"add\", \"arguments\": {\"a\": 1}}</tool_call>";
        (GenerationJob job, JsonNode body, _) = await AskAsync(Chat, $"{Hi}, {Functions}, \"function_call\": {{\"name\": \"add\"}}", Call);
        Assert.NotNull(job.Choices[0].Constraint);
        JsonNode choice = body["choices"]![0]!;
        Assert.Equal("function_call", (string)choice["finish_reason"]!);
        Assert.Equal("{\"name\":\"add\",\"arguments\":\"{\\u0022a\\u0022: 1}\"}", choice["message"]!["function_call"]!.ToJsonString());
        Assert.Null(choice["message"]!["tool_calls"]);
        const string History = "\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": null, "
            + "\"function_call\": {\"name\": \"add\", \"arguments\": \"{\\\"a\\\": 1}\"}}, {\"role\": \"function\", \"name\": \"add\", "
                + "\"content\": "
            + "\"two\"}]";
        (job, _, _) = await AskAsync(Chat, $"{History}, {Functions}", "ok");
        Assert.Matches("(?s)add.*two", ScriptedServer.PromptOf(job));
    }

    [Theory]
    [InlineData(Chat, "\"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", \"content\": \"I am\"}], "
        + "\"continue_final_message\": true, \"add_generation_prompt\": false")]
    [InlineData("/v1/messages", "\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"q\"}, {\"role\": \"assistant\", "
        + "\"content\": \"I am\"}]")]
    public async Task A_last_turn_of_the_assistants_is_continued(string path, string fields)
    {
        (GenerationJob job, _, _) = await AskAsync(path, fields, " here");
        Assert.EndsWith("assistant: I am", ScriptedServer.PromptOf(job));
    }

    [Fact]
    public async Task A_template_too_goes_on_with_the_last_turn()
    {
        const string Template = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>{% endfor %}{% if add_generation_prompt "
            + "%}<assistant>"
            + "{% endif %}";
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(Template)));
        Task<HttpResponseMessage> asked = server.PostAsync("/v1/messages", "{\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", "
            + "\"content\": \"I am\"}, {\"role\": \"assistant\", \"content\": \"I am \"}]}");
        GenerationJob job = await server.TakeAsync();
        Assert.Equal("<user>I am</s><assistant>I am", ScriptedServer.PromptOf(job));
        server.Finish(job);
        Assert.True((await asked).IsSuccessStatusCode);
    }

    [Theory]
    [InlineData(Chat, "\"stop\": ", Hi)]
    [InlineData("/v1/completions", "\"stop\": ", "\"prompt\": \"x\"")]
    [InlineData("/v1/responses", "\"stop\": ", "\"input\": \"x\"")]
    [InlineData("/v1/messages", "\"stop_sequences\": ", "\"max_tokens\": 5, " + Hi)]
    public async Task Sixty_four_stop_strings_are_taken_everywhere(string path, string field, string rest)
    {
        string Stops(int count) => $"[{string.Join(',', Enumerable.Range(0, count).Select(i => $"\"stop{i}\""))}]";
        (GenerationJob job, _, _) = await AskAsync(path, $"{rest}, {field}{Stops(64)}", "a");
        Assert.Equal(64, job.Choices[0].Stop.Count(stop => stop.StartsWith("stop", StringComparison.Ordinal)));
        HttpResponseMessage refused = await _server.PostAsync(path, $"{{{rest}, {field}{Stops(65)}}}");
        Assert.Contains("up to 64", await refused.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Messages_have_Anthropics_limits_of_tools_not_OpenAIs()
    {
        string tools = string.Join(',', Enumerable.Range(0, 130).Select(i => $"{{\"name\": \"{new string('n', 125)}{i:D3}\", "
            + "\"input_schema\": {\"type\": \"object\"}}"));
        HttpResponseMessage counted = await _server.PostAsync("/v1/messages/count_tokens", $"{{{Hi}, \"tools\": [{tools}]}}");
        Assert.True((int)(await counted.JsonAsync())["input_tokens"]! > 10_000);
        Assert.Contains("1 to 128 letters", await (await _server.PostAsync("/v1/messages/count_tokens",
            $"{{{Hi}, \"tools\": [{{\"name\": \"{new string('n', 129)}\", \"input_schema\": {{}}}}]}}")).Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task A_schema_that_cannot_be_used_is_named_as_its_API_has_it()
    {
        const string Schema = "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"strng\"}}}";
        HttpResponseMessage refused = await _server.PostAsync("/v1/messages", $"{{\"max_tokens\": 5, {Hi}, \"tools\": [{{\"name\": \"f\", "
            + $"\"input_schema\": {Schema}}}], \"tool_choice\": {{\"type\": \"any\"}}}}");
        Assert.StartsWith("tools[0].input_schema: ", (string)(await refused.JsonAsync())["error"]!["message"]!);
        await (await _server.PostAsync(Chat, $"{{{Hi}, \"tools\": [{{\"type\": \"function\", \"function\": {{\"name\": \"f\", "
            + $"\"parameters\": {Schema}}}}}], \"tool_choice\": \"required\"}}")).ErrorAsync(400, "tools[0].function.parameters");
    }

    [Theory]
    [InlineData("{\"type\": \"string\"}", "#/type")]
    [InlineData("{\"enum\": [1, \"a\"]}", "#/enum")]
    [InlineData("{\"const\": null}", "#/const")]
    public async Task Parameters_that_allow_no_object_are_named_where_a_call_is_forced(string schema, string path)
    {
        HttpResponseMessage refused = await _server.PostAsync(Chat, $"{{{Hi}, \"tools\": [{{\"type\": \"function\", \"function\": {{"
            + $"\"name\": \"f\", \"parameters\": {schema}}}}}], \"tool_choice\": \"required\"}}");
        Assert.Contains($"{path}: allows no object", await refused.ErrorAsync(400, "tools[0].function.parameters"));
    }

    [Fact]
    public async Task A_prompt_that_is_too_long_is_told_of_in_the_words_that_clients_look_for()
    {
        string text = string.Concat(Enumerable.Repeat("word ", 5000));
        foreach ((string path, string fields) in (IEnumerable<(string, string)>)
            [(Chat, $"\"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}]"), ("/v1/completions", $"\"prompt\": \"{text}\""),
                ("/v1/responses", $"\"input\": \"{text}\""),
                ("/v1/messages", $"\"max_tokens\": 5, \"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}]")])
        {
            HttpResponseMessage response = await _server.PostAsync(path, $"{{{fields}}}");
            Assert.Equal(400, (int)response.StatusCode);
            string message = (string)(await response.JsonAsync())["error"]!["message"]!;
            Assert.Matches(@"prompt is too long: \d+ tokens > 4095 maximum", message);
            Assert.Contains("maximum context length is 4096 tokens", message);
        }
    }
}
