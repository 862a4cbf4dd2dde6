using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using static Understory.Server.Tests.Chat.TalkTemplates;

namespace Understory.Server.Tests.Chat;

/// <summary>How models talk is seen from their templates, and what they write in that way is read back.</summary>
public sealed class TalkingTests
{
    public static TheoryData<string> Families => TalkTemplates.Families;

    [Theory]
    [MemberData(nameof(Families))]
    public void A_templates_own_call_tells_its_way(string family)
    {
        var format = new ChatRenderer(Demo, ChatTemplate.Parse(Source(family)));
        Assert.Equal(family, format.Syntax.Name);
        Assert.Equal(Thoughts[family].Length > 0, format.Thoughts is not null);
        Assert.StartsWith(format.Thoughts?.Open ?? "", Thoughts[family]);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void What_a_template_renders_is_read_back_however_it_is_cut(string family)
    {
        ChatTemplate template = ChatTemplate.Parse(Source(family));
        var format = new ChatRenderer(Demo, template);
        foreach ((string thought, string text, string[] calls) in ((string, string, string[])[])
        [
            ("", "It is warm.", []), ("", "", ["{\"city\": \"Oslo\", \"days\": 2}"]),
            ("", "", ["{\"city\": \"Oslo\"}", "{\"city\": \"Rome\"}"]),
            ("I should look.", "It is warm.", []), ("I should look.", "", ["{\"city\": \"Oslo é😀\"}"]),
        ])
        {
            if (thought.Length > 0 && format.Thoughts is null)
            {
                continue;
            }

            string asked = Render(template, default, Ask.Turns[0]);
            string written = Render(template, WishesOf(family), Ask.Turns[0], new ChatTurn("assistant", text)
            {
                Reasoning = thought.Length > 0 ? thought : null,
                ToolCalls = [.. calls.Select((arguments, i) => new ToolCall($"abcdefgh{i}", "get_weather", arguments))],
            })[asked.Length..]["<|im_start|>assistant\n".Length..];
            if (family == "llama" && calls.Length > 1)
            {
                continue;
            }

            CheckCuts(format.Prepare(Ask).Answer, written, text, thought.Length > 0 ? thought : null, calls);
        }
    }

    [Fact]
    public void Messages_of_harmony_are_thoughts_calls_and_text()
    {
        ChatRenderer format = new(Demo, null, syntax: ToolSyntax.Named("harmony"));
        AnswerSyntax answer = format.Prepare(Ask).Answer;
        const string Thinks = "<|channel|>analysis<|message|>I should look.<|end|><|start|>assistant";
        const string Arguments = "{\"city\": \"Oslo\"}";
        CheckCuts(answer, Thinks + "<|channel|>final<|message|>It is warm.<|return|>", "It is warm.", "I should look.", []);
        foreach (string head in (string[])[" to=functions.get_weather<|channel|>commentary json<|message|>",
            "<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>",
            "<|channel|>commentary to=functions.get_weather<|message|>"])
        {
            CheckCuts(answer, Thinks + head + Arguments + "<|call|>", "", "I should look.", [Arguments]);
            CheckCuts(answer, head + JsonSerializer.Serialize(Arguments) + "<|call|>", "", null, [Arguments]);
        }

        CheckCuts(answer, "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
            + "<|constrain|>json<|message|>" + Arguments + "<|call|>never", "I look.", null, [Arguments]);
        CheckCuts(answer, "Without any head.", "Without any head.", null, []);
        CheckCuts(answer, "<|channel|>commentary to=functions.other json<|message|>{}",
            "<|channel|>commentary to=functions.other json<|message|>{}", null, []);
    }

    [Fact]
    public void Values_between_tags_are_what_their_schema_says()
    {
        Tool tool = new("f", null, JsonDocument.Parse("""
            {"$defs": {"T": {"type": "string"}},
             "properties": {"s": {"type": "string"}, "r": {"$ref": "#/$defs/T"}, "n": {"type": "integer"},
             "b": {"type": "boolean"}, "o": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "a": {"type": "array"}}}
            """).RootElement);
        string Read(string name, string value)
        {
            var parser = new AnswerParser(new AnswerSyntax(ToolSyntax.Named("qwen-xml"), _ => tool, true, () => "id"));
            parser.Push($"<tool_call>\n<function=f>\n<parameter={name}>\n{value}\n</parameter>\n</function>\n</tool_call>");
            parser.Finish();
            return Assert.Single(parser.Answer.ToolCalls).Arguments;
        }

        Assert.Equal("{\"s\": \"2\"}", Read("s", "2"));
        Assert.Equal("{\"s\": \"\\n true </b>\\\"\\n\"}", Read("s", "\n true </b>\"\n"));
        Assert.Equal("{\"r\": \"2\"}", Read("r", "2"));
        Assert.Equal("{\"n\": 2}", Read("n", "2"));
        Assert.Equal("{\"n\": \"two\"}", Read("n", "two"));
        Assert.Equal("{\"b\": true}", Read("b", "True"));
        Assert.Equal("{\"o\": null}", Read("o", "None"));
        Assert.Equal("{\"o\": \"5\"}", Read("o", "5"));
        Assert.Equal("{\"a\": [1, \"x\\ty\"]}", Read("a", "[1, \"x\ty\",]"));
        Assert.Equal("{\"z\": 5}", Read("z", "5"));
        Assert.Equal("{\"z\": \"five\"}", Read("z", "five"));
    }

    [Fact]
    public void Literals_of_Python_are_read_as_JSON()
    {
        string Read(string arguments)
        {
            var parser = new AnswerParser(new AnswerSyntax(ToolSyntax.Named("lfm2"), _ => Weather, true, () => "id"));
            parser.Push($"<|tool_call_start|>[get_weather({arguments})]<|tool_call_end|>");
            parser.Finish();
            return Assert.Single(parser.Answer.ToolCalls).Arguments;
        }

        Assert.Equal("{\"a\": \"it's\", \"b\": \"é\\n\\\"\", \"c\": -1.5}", Read("a=\"it's\", b='\\xe9\\n\"', c=-1.5"));
        Assert.Equal("{\"a\": [true, false, null], \"b\": {\"k\": [1, {\"x\": \"y\"}]}}",
            Read("a=[True, False, None], b={'k': [1, {'x': 'y'}]}"));
        Assert.Equal("{\"a\": [1, 2], \"b\": \"word\"}", Read("a=(1, 2,), b=word,"));
        Assert.Equal("{}", Read(""));
    }

    [Theory]
    [InlineData("[{{ m.role }}]", true, true, false)]
    [InlineData("{% if m.role == 'system' and not loop.first %}{{ raise_exception('first') }}{% endif %}", true, false, false)]
    [InlineData("{% if m.role == 'system' %}{{ raise_exception('none') }}{% endif %}", false, false, false)]
    [InlineData("{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}{% endif %}", false, false, true)]
    public void A_conversation_is_given_the_shape_that_its_template_takes(string check, bool system, bool laterSystem, bool alternates)
    {
        string source = "{% for m in messages %}" + check + "<{{ m.role }}>{{ m.content }}{% endfor %}";
        var format = new ChatRenderer(Demo, ChatTemplate.Parse(source));
        string prompt = Demo.Decode(format.Prepare(new Conversation
        {
            Turns =
            [
                new("system", "A"), new("system", "B"), new("user", "one"), new("user", "two"), new("assistant", "so"), new("user", "bye"),
            ],
        }).Prompt);
        string systems = laterSystem ? "<system>A[system]<system>B" : system ? "<system>A\n\nB" : "";
        string users = alternates ? "one\n\ntwo" : "one<user>two";
        string expected = system ? $"{systems}<user>{users}" : $"<user>A\n\nB\n\n{users}";
        prompt = prompt.Replace("[user]", "").Replace("[assistant]", "").Replace("[system]<system>A", "<system>A");
        Assert.Equal($"{expected}<assistant>so<user>bye", prompt);
    }

    [Fact]
    public void Calls_of_one_turn_become_turns_where_a_template_takes_one_alone()
    {
        var format = new ChatRenderer(Demo, ChatTemplate.Parse("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% if m.tool_calls %}"
            + "{% set c = m.tool_calls[0].function %}<tool_call>{{ {'name': c.name, 'arguments': c.arguments} | tojson }}</tool_call>"
            + "{% endif %}{% endfor %}{{ tools | tojson if tools }}"));
        string prompt = Demo.Decode(format.Prepare(new Conversation
        {
            Turns =
            [
                new("user", "hi"),
                new("assistant", "so") { ToolCalls = [new("1", "get_weather", "{\"city\": \"Oslo\"}"), new("2", "get_weather", "{}")] },
                new("tool", "second") { ToolCallId = "2" }, new("tool", "first") { ToolCallId = "1" }, new("user", "bye"),
            ],
        }).Prompt);
        const string Call = "<tool_call>{\"name\": \"get_weather\", \"arguments\": ";
        Assert.Equal($"<user>hi<assistant>so{Call}{{\"city\": \"Oslo\"}}}}</tool_call><tool>first<assistant>{Call}{{}}}}</tool_call>"
            + "<tool>second<user>bye", prompt);
    }

    [Fact]
    public void Chats_with_tools_have_a_template_of_their_own()
    {
        const string Plain = "{% for m in messages %}{{ m.content }}{% endfor %}";
        var format = new ChatRenderer(Demo, ChatTemplate.Parse(Plain, forTools: Source("qwen-xml")));
        Assert.Equal("qwen-xml", format.Syntax.Name);
        Assert.Equal("hi", Demo.Decode(format.Prepare(new Conversation { Turns = [new("user", "hi")] }).Prompt));
        Assert.StartsWith("{\"type\": \"function\"", Demo.Decode(format.Prepare(Ask).Prompt));
    }

    [Fact]
    public void What_is_not_given_to_a_template_is_none()
    {
        ChatTemplate template = ChatTemplate.Parse("{{ tools is none }} {{ documents is none }} {{ enable_thinking is defined }}");
        var format = new ChatRenderer(Demo, template);
        Assert.Equal("True True False", Demo.Decode(format.Prepare(new Conversation { Turns = [new("user", "hi")] }).Prompt));
    }

    [Fact]
    public void Turns_end_with_what_the_template_writes_behind_them()
    {
        AnswerSyntax answer = new ChatRenderer(Demo, ChatTemplate.Parse(Source("hermes"))).Prepare(Ask).Answer;
        Assert.Equal(["<|im_end|>"], answer.Ends);
        var end = new AnswerEnd(answer, []);
        Assert.Equal("Hello<|im_end|>", end.Push("Hello<|im_end|>\nMORE"));
        Assert.True(end.Stopped);
        Assert.Null(end.Found);
    }

    [Theory]
    [InlineData("<think>Question: 2?</think>The answer is 4. Question: 3", "The answer is 4. ", "Question:")]
    [InlineData("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Question:\"}}\n</tool_call> So. Question: x", "So. ",
        "Question:")]
    [InlineData("No questi", "No questi", null)]
    public void Stop_strings_hold_for_what_is_said(string written, string said, string? found)
    {
        AnswerSyntax answer = new ChatRenderer(Demo, ChatTemplate.Parse(Source("hermes"))).Prepare(Ask).Answer;
        for (int size = 1; size <= written.Length; size++)
        {
            var end = new AnswerEnd(answer, ["Question:", "\n{"]);
            string released = string.Concat(written.Chunk(size).Select(piece => end.Push(new string(piece)))) + end.Flush();
            Assert.Equal(found, end.Found);
            Assert.Equal(found is not null, end.Stopped);
            var parser = new AnswerParser(answer);
            parser.Push(released);
            parser.Finish();
            Assert.Equal(said, parser.Answer.Text);
            Assert.StartsWith(released, written);
        }
    }

    [SharedDataTheory("chat_templates/recent")]
    [InlineData("gpt-oss", "harmony")]
    [InlineData("gemma-4", "gemma")]
    [InlineData("gemma-3", "hermes")]
    [InlineData("qwen3.5", "qwen-xml")]
    [InlineData("qwen3-coder", "qwen-xml")]
    [InlineData("smollm3", "hermes")]
    [InlineData("granite-4.0", "hermes")]
    [InlineData("granite-4.1", "hermes")]
    [InlineData("mistral-nemo", "mistral")]
    [InlineData("mistral-small-3.2", "mistral-id")]
    [InlineData("ministral-3-reasoning", "mistral-args")]
    [InlineData("phi-3.5-mini", "hermes")]
    [InlineData("muse-glimmer", "atem")]
    [InlineData("lfm2.5", "lfm2")]
    [InlineData("glm-4.6", "glm")]
    public void Every_form_of_a_real_template_is_read_back(string name, string syntax)
    {
        string folder = SharedData.PathOf("chat_templates/recent");
        var format = new ChatRenderer(Demo, TemplateCaseTests.Template(Path.Combine("recent", name),
            JsonNode.Parse(File.ReadLines(Path.Combine(folder, name + ".cases.jsonl")).First())!.AsObject()));
        Assert.Equal(syntax, format.Syntax.Name);
        JsonObject facts = File.ReadLines(Path.Combine(folder, "syntax.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject())
            .Single(line => (string)line["name"]! == name);
        JsonObject? calls = facts["call_syntax"] as JsonObject;
        const string Oslo = "{\"city\": \"Oslo\", \"days\": 2}";
        bool isHarmony = name == "gpt-oss";
        Check("one", calls, withVariables: true, "", null, Oslo);
        Check("two", calls, withVariables: true, "", null, Oslo, "{\"city\": \"Rome\"}");
        Check("after_text", calls, withVariables: true, isHarmony ? "" : "Let me look.", isHarmony ? "Let me look." : null, Oslo);
        Check("after_thoughts", calls, withVariables: name == "gemma-4", "", "I should look.", Oslo);
        JsonObject? answers = facts["answer_syntax"] as JsonObject;
        Check("plain", answers, withVariables: true, "It is warm.", null);
        Check("after_thoughts", answers, withVariables: false, "It is warm.", "I should look.");
        if (facts["thoughts_syntax"] is JsonObject { } thoughts && format.Thoughts is { } marks)
        {
            Assert.Equal(((string)thoughts["open"]!, (string)thoughts["close"]!), (marks.Open, marks.Close));
        }

        void Check(string form, JsonObject? forms, bool withVariables, string text, string? reasoning, params string[] arguments)
        {
            if ((string?)forms?[form] is not { } written)
            {
                return;
            }

            Dictionary<string, object?> variables = withVariables && facts["call_vars"] is JsonObject given
                ? given.ToDictionary(variable => variable.Key, variable => (object?)(bool)variable.Value!) : [];
            PreparedChat chat = format.Prepare(Ask with { TemplateVariables = variables });
            CheckCuts(chat.Answer, written, text, reasoning, arguments);
            if (arguments.Length == 1 && form == "one")
            {
                PreparedChat forced =
                    format.Prepare(Ask with { TemplateVariables = variables, ToolChoice = ToolChoice.Named("get_weather") });
                string call = Until(written, facts["turn_end"]!.AsArray().Select(end => (string)end!));
                Assert.True(forced.Constraint!.Matches(call), call);
            }
        }
    }

    private static string Until(string text, IEnumerable<string> ends)
    {
        int end = ends.Select(mark => text.IndexOf(mark, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(text.Length).Min();
        return text[..end];
    }
}
