using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Server.Chat;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary>
/// Tools over HTTP, with the test in the decoding thread's place: what the model is shown, and what becomes of what it writes.
/// </summary>
public sealed class ToolCallTests
{
    /// <summary>A template that knows tools and thoughts, in the manner of Qwen's.</summary>
    private const string Template =
        "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools> as <tool_call>{% endif %}"
        + "{% for message in messages %}<{{ message.role }}>{{ message.content }}"
        + "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function.name }} {{ call.function.arguments | tojson "
        + "}}</tool_call>{% endfor %}</{{ message.role }}>{% endfor %}"
        + "{% if add_generation_prompt %}<assistant>{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif "
        + "%}{% endif %}";

    private const string Tools =
        "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Of a city\", \"parameters\": "
            + "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}}}, "
        + "{\"type\": \"function\", \"function\": {\"name\": \"now\"}}]";

    private const string Ask = "\"messages\": [{\"role\": \"user\", \"content\": \"Weather in Zürich?\"}]";
    private const string Call = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Zürich\"}}\n</tool_call>";

    private static async Task<(string Prompt, JsonNode Answer, GenerationRequest Request)> AnswerAsync(
        string body, string text, FinishReason reason = FinishReason.Stop, ChatRenderer? chat = null)
    {
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(model: ScriptedServer.Model(chat ?? ScriptedServer.Renderer(Template)));
        Task<HttpResponseMessage> response = server.PostAsync("/v1/chat/completions", $"{{{body}}}");
        if (await Task.WhenAny(response, Task.Delay(50)) == response && !(await response).IsSuccessStatusCode)
        {
            Assert.Fail(await (await response).Content.ReadAsStringAsync());
        }

        GenerationJob job = await server.TakeAsync();
        ScriptedServer.Say(job, text);
        server.Finish(job, reason);
        return (ScriptedServer.PromptOf(job), await (await response).JsonAsync(), job.Choices[0]);
    }

    [Fact]
    public async Task A_call_is_told_in_full()
    {
        (string prompt, JsonNode answer, _) = await AnswerAsync($"{Ask}, {Tools}", "I look.\n" + Call);
        Assert.StartsWith("<tools>{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Of a city\", "
            + "\"parameters\": {\"type\": ", prompt);
        Assert.Contains("{\"name\": \"now\", \"parameters\": {\"type\": \"object\", \"properties\": {}}}", prompt);
        Assert.EndsWith("<user>Weather in Zürich?</user><assistant>", prompt);
        JsonNode choice = answer["choices"]![0]!;
        Assert.Equal("tool_calls", (string)choice["finish_reason"]!);
        JsonObject message = choice["message"]!.AsObject();
        Assert.Equal(["role", "content", "refusal", "tool_calls"], message.Select(field => field.Key));
        Assert.Equal(("assistant", "I look."), ((string)message["role"]!, (string)message["content"]!));
        JsonNode call = Assert.Single(message["tool_calls"]!.AsArray())!;
        string id = (string)call["id"]!;
        Assert.Matches("^call_[0-9a-f]{32}$", id);
        Assert.Equal(
            "{\"id\":\"" + id + "\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\": "
                + "\\\"Zürich\\\"}\"}}",
            System.Text.RegularExpressions.Regex.Unescape(call.ToJsonString().Replace("\\u0022", "\\\\\\\"")));
    }

    [Fact]
    public async Task Calls_alone_leave_the_content_null()
    {
        (_, JsonNode answer, _) = await AnswerAsync($"{Ask}, {Tools}", Call + "\n" + Call.Replace("get_weather", "now"));
        JsonObject message = answer["choices"]![0]!["message"]!.AsObject();
        Assert.True(message.ContainsKey("content"));
        Assert.Null(message["content"]);
        Assert.Equal(["get_weather", "now"], message["tool_calls"]!.AsArray().Select(call => (string)call!["function"]!["name"]!));
        Assert.Equal(2, message["tool_calls"]!.AsArray().Select(call => (string)call!["id"]!).Distinct().Count());
    }

    [Fact]
    public async Task A_streamed_call_comes_as_deltas()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(Template)));
        Task<HttpResponseMessage> streamed =
            server.PostAsync("/v1/chat/completions", $"{{{Ask}, {Tools}, \"stream\": true}}", stream: true);
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        foreach (string piece in (string[])["Well", "\n<tool_", "call>\n{\"name\": \"now\", ", "\"arguments\": {\"a\"", ": 1}",
            "}\n</tool_call>", "\n<tool_call>{\"name\": \"now\"}</tool_call>"])
        {
            ScriptedServer.Say(job, piece);
        }

        server.Finish(job);
        List<JsonNode> chunks = await (await streamed).ChunksAsync();
        string[] deltas = [.. chunks.Select(chunk => chunk["choices"]![0]!["delta"]!.ToJsonString().Replace("\\u0022", "'"))];
        string[] ids = [.. chunks.Select(chunk => (string?)chunk["choices"]![0]!["delta"]!["tool_calls"]?[0]!["id"]).OfType<string>()];
        Assert.Equal(2, ids.Distinct().Count());
        Assert.Equal(
            [
                "{\"role\":\"assistant\",\"content\":\"\"}",
                "{\"content\":\"Well\"}",
                "{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"now\",\"arguments\":\"\"},\"id\":\"" + ids[0]
                    + "\",\"type\":\"function\"}]}",
                "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{'a'\"}}]}",
                "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\": 1}\"}}]}",
                "{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"now\",\"arguments\":\"\"},\"id\":\"" + ids[1]
                    + "\",\"type\":\"function\"}]}",
                "{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"{}\"}}]}",
                "{}",
            ],
            deltas);
        Assert.Equal("tool_calls", (string)chunks[^1]["choices"]![0]!["finish_reason"]!);
    }

    [Fact]
    public async Task A_result_goes_back_to_the_model_with_its_call()
    {
        const string Body =
            "\"messages\": [{\"role\": \"user\", \"content\": \"Weather?\"}, {\"role\": \"assistant\", \"content\": null, \"tool_calls\": "
                + "[{\"id\": \"call_1\", \"type\": \"function\", "
            + "\"function\": {\"name\": \"get_weather\", \"arguments\": \"{\\\"city\\\":\\\"Zürich\\\",\\\"days\\\":2}\"}}]}, "
            + "{\"role\": \"tool\", \"tool_call_id\": \"call_1\", \"content\": [{\"type\": \"text\", \"text\": \"21 °C\"}]}], " + Tools;
        (string prompt, JsonNode answer, _) = await AnswerAsync(Body, "It is 21 °C.");
        Assert.EndsWith(
            "<user>Weather?</user><assistant><tool_call>get_weather {\"city\": \"Zürich\", \"days\": 2}</tool_call></assistant><tool>21 "
                + "°C</tool><assistant>", prompt);
        Assert.Equal(("It is 21 °C.", "stop"),
            ((string)answer["choices"]![0]!["message"]!["content"]!, (string)answer["choices"]![0]!["finish_reason"]!));
    }

    [Fact]
    public async Task A_model_that_knows_nothing_of_tools_is_told_in_words()
    {
        const string Plain = "{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}[assistant] ";
        const string Body =
            "\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"content\": \"Weather?\"}, "
                + "{\"role\": \"assistant\", \"content\": \"I look.\", \"tool_calls\": [{\"id\": \"1\", \"type\": \"function\", "
            + "\"function\": {\"name\": \"now\", \"arguments\": \"{}\"}}]}, {\"role\": \"tool\", \"tool_call_id\": \"1\", \"content\": "
            + "\"12:00\"}, {\"role\": \"tool\", \"tool_call_id\": \"2\", \"content\": \"warm\"}], ";
        foreach (ChatRenderer renderer in (ChatRenderer[])[ScriptedServer.Renderer(Plain), ScriptedServer.Renderer(null)])
        {
            (string prompt, JsonNode answer, _) = await AnswerAsync(Body + Tools, Call, chat: renderer);
            Assert.Contains("Be brief.\n\n# Tools", prompt);
            Assert.Contains("{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Of a city\", "
                + "\"parameters\": {\"type\": \"object\", ", prompt);
            Assert.Contains("I look.\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n", prompt);
            Assert.Contains("<tool_response>\n12:00\n</tool_response>\n<tool_response>\nwarm\n</tool_response>", prompt);
            Assert.Equal("get_weather", (string)answer["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["name"]!);
        }
    }

    [Fact]
    public async Task Without_tools_or_with_tool_choice_none_nothing_is_a_call()
    {
        foreach (string body in (string[])[Ask, $"{Ask}, {Tools}, \"tool_choice\": \"none\""])
        {
            (string prompt, JsonNode answer, _) = await AnswerAsync(body, Call);
            Assert.DoesNotContain("get_weather", prompt);
            Assert.Equal((Call, "stop"),
                ((string)answer["choices"]![0]!["message"]!["content"]!, (string)answer["choices"]![0]!["finish_reason"]!));
            Assert.Null(answer["choices"]![0]!["message"]!["tool_calls"]);
        }
    }

    [Fact]
    public async Task Only_allowed_tools_are_shown_and_called()
    {
        const string Allowed = "\"tool_choice\": {\"type\": \"allowed_tools\", \"allowed_tools\": {\"mode\": \"auto\", \"tools\": "
            + "[{\"type\": \"function\", \"function\": {\"name\": \"now\"}}]}}";
        (string prompt, JsonNode answer, _) = await AnswerAsync($"{Ask}, {Tools}, {Allowed}", Call);
        Assert.DoesNotContain("get_weather", prompt);
        Assert.Equal(Call, (string)answer["choices"]![0]!["message"]!["content"]!);
    }

    [Fact]
    public async Task One_call_at_a_time_stops_after_the_first()
    {
        (_, JsonNode answer, GenerationRequest request) = await AnswerAsync($"{Ask}, {Tools}, \"parallel_tool_calls\": false", Call + Call);
        ITextEnd end = request.TextEnd!();
        Assert.Equal(Call[..Call.IndexOf("\n</", StringComparison.Ordinal)], end.Push(Call + Call));
        Assert.True(end.Stopped);
        Assert.Single(answer["choices"]![0]!["message"]!["tool_calls"]!.AsArray());
    }

    [Fact]
    public async Task A_call_that_the_end_of_the_tokens_cuts_is_told_as_it_stands()
    {
        (_, JsonNode answer, _) = await AnswerAsync($"{Ask}, {Tools}",
            "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Z", FinishReason.Length);
        Assert.Equal("length", (string)answer["choices"]![0]!["finish_reason"]!);
        Assert.Equal("{\"city\": \"Z", (string)answer["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["arguments"]!);
    }

    [Fact]
    public async Task Thoughts_are_told_apart_and_can_be_switched_off()
    {
        (_, JsonNode answer, _) = await AnswerAsync(Ask, "<think>\nHm.\n</think>\n\nYes.");
        JsonNode message = answer["choices"]![0]!["message"]!;
        Assert.Equal(("Hm.", "Yes."), ((string)message["reasoning_content"]!, (string)message["content"]!));
        int thoughts = ScriptedServer.Model().Tokenizer.Encode("Hm.", addSpecialTokens: false).Length;
        Assert.Equal(thoughts, (int)answer["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
        (string prompt, answer, _) = await AnswerAsync($"{Ask}, \"reasoning_effort\": \"none\"", "<think>Yes.");
        Assert.EndsWith("<assistant><think></think>", prompt);
        message = answer["choices"]![0]!["message"]!;
        Assert.Equal("<think>Yes.", (string)message["content"]!);
        Assert.Null(message["reasoning_content"]);
        Assert.Equal(0, (int)answer["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
    }

    [Fact]
    public async Task Streamed_thoughts_are_deltas_of_their_own()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(Template)));
        Task<HttpResponseMessage> streamed =
            server.PostAsync("/v1/chat/completions", $"{{{Ask}, \"n\": 2, \"stream\": true}}", stream: true);
        GenerationJob job = await server.TakeAsync();
        for (int choice = 0; choice < 2; choice++)
        {
            job.Send(new PromptRead(choice, 0));
            ScriptedServer.Say(job, "<think>H", choice);
            ScriptedServer.Say(job, "m.</thi", choice);
            ScriptedServer.Say(job, $"nk>\n\nYes {choice}.", choice);
        }

        server.Finish(job);
        List<JsonNode> chunks = await (await streamed).ChunksAsync();
        for (int choice = 0; choice < 2; choice++)
        {
            JsonNode[] deltas =
                [.. chunks.Select(chunk => chunk["choices"]![0]!).Where(own => (int)own["index"]! == choice).Select(own => own["delta"]!)];
            Assert.Equal("Hm.", string.Concat(deltas.Select(delta => (string?)delta["reasoning_content"])));
            Assert.Equal($"Yes {choice}.", string.Concat(deltas.Select(delta => (string?)delta["content"])));
        }

        int thoughts = ScriptedServer.Model().Tokenizer.Encode("Hm.", addSpecialTokens: false).Length;
        Assert.Equal(2 * thoughts, (int)chunks[^1]["usage"]!["completion_tokens_details"]!["reasoning_tokens"]!);
    }

    [Theory]
    [InlineData("\"tools\": 5", "tools", "5")]
    [InlineData("\"tools\": [5]", "tools[0]", "5")]
    [InlineData("\"tools\": [{\"type\": \"retrieval\"}]", "tools[0].type", "retrieval")]
    [InlineData("\"tools\": [{\"type\": \"function\", \"function\": {}}]", "tools[0].function.name", "missing")]
    [InlineData("\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"a b\"}}]", "tools[0].function.name", "letters")]
    [InlineData("\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": []}}]",
        "tools[0].function.parameters", "object")]
    [InlineData("\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"strict\": 1}}]", "tools[0].function.strict",
        "true or false")]
    [InlineData("\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}, {\"type\": \"function\", \"function\": {\"name\": "
        + "\"f\"}}]", "tools[1].function.name", "differ")]
    [InlineData("\"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"g\"}}, \"tools\": [{\"type\": \"function\", "
        + "\"function\": {\"name\": \"f\"}}]", "tool_choice", "\"g\"")]
    [InlineData("\"tool_choice\": \"maybe\"", "tool_choice", "maybe")]
    [InlineData("\"tool_choice\": {\"type\": \"allowed_tools\"}", "tool_choice.allowed_tools", "missing")]
    [InlineData("\"functions\": [{\"name\": \"a b\"}]", "functions[0].name", "letters")]
    [InlineData("\"functions\": [{\"name\": \"f\"}], \"function_call\": {\"name\": \"g\"}", "function_call", "\"g\"")]
    [InlineData("\"response_format\": \"json\"", "response_format", "json_schema")]
    [InlineData("\"response_format\": {\"type\": \"xml\"}", "response_format.type", "xml")]
    [InlineData("\"response_format\": {\"type\": \"json_schema\"}", "response_format.json_schema", "missing")]
    [InlineData("\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"schema\": {}}}", "response_format.json_schema.name",
        "missing")]
    [InlineData("\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"a\", \"schema\": 5}}",
        "response_format.json_schema.schema", "5")]
    [InlineData("\"response_format\": {\"type\": \"json_object\"}, \"regex\": \"a\"", "regex", "response_format")]
    [InlineData("\"json_schema\": \"{\"", "json_schema", "schema")]
    public async Task What_cannot_be_names_the_field(string fields, string name, string named)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(Template)));
        Assert.Contains(named, await (await server.PostAsync("/v1/chat/completions", $"{{{Ask}, {fields}}}")).ErrorAsync(400, name));
    }

    [Theory]
    [InlineData("{\"role\": \"tool\", \"content\": \"x\"}", "messages[0].tool_call_id", "missing")]
    [InlineData("{\"role\": \"tool\", \"tool_call_id\": \"a\", \"content\": \"x\"}", "messages[0].role", "follows a call")]
    [InlineData("{\"role\": \"function\", \"name\": \"f\", \"content\": \"x\"}", "messages[0].role", "follows a call")]
    [InlineData("{\"role\": \"user\", \"content\": []}", "messages[0].content", "at least one")]
    [InlineData("{\"role\": \"assistant\", \"tool_calls\": 5}", "messages[0].tool_calls", "5")]
    [InlineData("{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"a\", \"type\": \"function\"}]}",
        "messages[0].tool_calls[0].function", "missing")]
    [InlineData("{\"role\": \"assistant\", \"tool_calls\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"arguments\": "
        + "\"\"}}]}", "messages[0].tool_calls[0].id", "missing")]
    [InlineData("{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"a\", \"type\": \"function\", \"function\": {\"name\": \"f\", "
        + "\"arguments\": []}}]}", "messages[0].tool_calls[0].function.arguments", "an array")]
    [InlineData("{\"role\": \"assistant\", \"function_call\": {\"name\": \"f\"}}", "messages[0].function_call.arguments", "missing")]
    [InlineData("{\"role\": \"user\", \"content\": [{\"type\": \"input_audio\", \"input_audio\": {}}]}", "messages[0].content[0]",
        "input_audio")]
    [InlineData("{\"role\": \"user\", \"content\": [{\"type\": \"poem\", \"poem\": \"no\"}]}", "messages[0].content[0].type", "poem")]
    public async Task A_message_that_cannot_be_names_the_field(string message, string name, string named)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(model: ScriptedServer.Model(ScriptedServer.Renderer(Template)));
        Assert.Contains(named, await (await server.PostAsync("/v1/chat/completions", $"{{\"messages\": [{message}]}}"))
            .ErrorAsync(400, name));
    }

    [Fact]
    public async Task Every_kind_of_message_is_read()
    {
        const string Body =
            "\"messages\": [{\"role\": \"developer\", \"content\": \"Be brief.\"}, {\"role\": \"user\", \"name\": \"Ann\", \"content\": "
                + "[{\"type\": \"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": \"b\"}]}, "
            + "{\"role\": \"assistant\", \"content\": [{\"type\": \"refusal\", \"refusal\": \"no\"}]}, {\"role\": \"assistant\", "
            + "\"content\": null, \"refusal\": \"never\"}, {\"role\": \"user\", \"content\": \"c\"}]";
        (string prompt, _, _) = await AnswerAsync(Body, "x");
        Assert.Equal(
            "<system>Be brief.</system><user>ab</user><assistant>no</assistant><assistant>never</assistant><user>c</user><assistant>",
            prompt);
    }

    [Fact]
    public async Task A_template_with_an_unknown_way_to_call_is_told_in_words_or_as_asked_for()
    {
        const string Strange = "{% for tool in tools or [] %}{{ tool.function.name }}{% endfor %}{% for message in messages %}{{ "
            + "message.content }}{% endfor %}";
        (string prompt, JsonNode answer, _) = await AnswerAsync($"{Ask}, {Tools}", Call, chat: ScriptedServer.Renderer(Strange));
        Assert.StartsWith("# Tools", prompt);
        Assert.Equal("get_weather", (string)answer["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["name"]!);
        (prompt, answer, _) = await AnswerAsync($"{Ask}, {Tools}", "{\"name\": \"now\", \"parameters\": {}}",
            chat: ScriptedServer.Renderer(Strange, ToolSyntax.Named("llama")));
        Assert.StartsWith("get_weathernow", prompt);
        Assert.Equal("now", (string)answer["choices"]![0]!["message"]!["tool_calls"]![0]!["function"]!["name"]!);
    }
}
