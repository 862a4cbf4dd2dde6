using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Understory.Server.Chat;

namespace Understory.Server.Tests.Chat;

public sealed class AnswerParserTests
{
    private static readonly Func<string, Tool?> Find = name => name is "get_weather" or "f" ? new Tool(name, null, Tool.AnyObject) : null;

    private static readonly ToolSyntax Llama = ToolSyntax.Named("llama");
    private static readonly ToolSyntax Mistral = ToolSyntax.Named("mistral");

    /// <summary>What texts under test are made of: everything that means something to one of the formats, whole and in parts.</summary>
    private static readonly string[] Fragments =
    [
        "<tool_call>", "</tool_call>", "<tool", "_call>", "<|python_tag|>",
        "<|python", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]ab1", "[TOOL", "[", "]", ", ", "; ",
        "<think>", "</think>", "<th", "{\"name\": \"f\", \"arguments\": {\"x\": [1, "
            + "\"}\\\"\"]}}", "{\"name\": \"f\", \"parameters\": {}}", "{\"arguments\": {\"a\": 1e-3}, \"name\": \"get_weather\"}",
        "{\"name\": \"unknown\", \"arguments\": {}}", "{\"name\": \"f\"}", "{\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}",
        "{\"name\": \"f\", \"arguments\": 5}", "f", "get_weather", "{\"x\": 1}",
        "<function=f>", "<parameter=x>", "</parameter>", "</function>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>",
        "call:f{", "<|tool_call>", "<tool_call|>", "<|\"|>", "x:1", "<|tool_call_start|>", "f(x=1)", "<|tool_call_end|>", "<|tool_call|>",
        "<|/tool_call|>", "<|START_ACTION|>", "<|END_ACTION|>", "<minimax:tool_call>", "<invoke name=\"f\">", "</invoke>",
        "<atem:function_calls>", "<|channel|>", "analysis", "final", "<|message|>", " to=functions.f", " to=self", "<|end|>",
        "<|start|>assistant", "<|call|>", "<|eom|>", "<|eot|>",
        "{", "}", "\"", "\\", "name", ":", "\n", " ", "\t", "é", "😀", "text", "0", "-1.5",
    ];

    private static readonly Gen<string> Texts =
        from parts in Gen.ListOf(Gen.Elements(Fragments)).Resize(14)
        select string.Concat(parts);

    private static readonly Gen<AnswerSyntax> Syntaxes =
        from syntax in Gen.Elements([.. ToolSyntax.All, null])
        from parallel in Gen.Elements(true, false)
        from think in Gen.Elements((false, false), (true, false), (true, true))
        select Syntax(syntax, parallel, think.Item1, think.Item2);

    private static AnswerSyntax Syntax(ToolSyntax? syntax, bool parallel = true, bool thinks = false, bool thinking = false) =>
        new(syntax, Find, parallel, () => "id")
        {
            Thoughts = thinks ? ThoughtSyntax.Think : null,
            Thinking = thinking ? ThoughtState.Open : thinks ? ThoughtState.Possible : ThoughtState.None,
            Channels = syntax?.Channels,
        };

    private static AnswerParser Parse(AnswerSyntax syntax, params IEnumerable<string> pieces)
    {
        var parser = new AnswerParser(syntax);
        foreach (string piece in pieces)
        {
            parser.Push(piece);
        }

        parser.Finish();
        return parser;
    }

    /// <summary>The answer on one line: text, thoughts in parentheses, calls as name and arguments.</summary>
    private static string Show(ParsedAnswer answer) =>
        string.Concat(
        [
            answer.Reasoning is null ? "" : $"({answer.Reasoning})",
            answer.Text,
            .. answer.ToolCalls.Select(call => $" {call.Name}{call.Arguments}"),
        ]);

    [Theory]
    [InlineData("Hello.", "Hello.")]
    [InlineData("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": 1}}\n</tool_call>", " f{\"x\": 1}")]
    [InlineData("Let me see.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>\n", "Let me see. f{}")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n<tool_call>{\"name\": \"get_weather\", \"arguments\": "
        + "{\"c\": \"Ü}{\\\"\"}}</tool_call>", " f{} get_weather{\"c\": \"Ü}{\\\"\"}")]
    [InlineData("<tool_call>{\"arguments\": {\"x\": [{}]}, \"id\": 7, \"name\": \"f\"}</tool_call>", " f{\"x\": [{}]}")]
    [InlineData("<tool_call>{\"name\": \"f\"}</tool_call>", " f{}")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"x\\\": \\\"é\\\"}\"}</tool_call>", " f{\"x\": \"é\"}")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}", " f{\"x\": 1}")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": [1", " f{\"x\": [1")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_ca", " f{}")]
    [InlineData("<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"other\", \"arguments\": {}}</tool_call>")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": 5}</tool_call>", "<tool_call>{\"name\": \"f\", \"arguments\": 5}</tool_call>")]
    [InlineData("<tool_call>f(x)</tool_call>", "<tool_call>f(x)</tool_call>")]
    [InlineData("a <tool_call> b", "a <tool_call> b")]
    [InlineData("if a <tool and b <", "if a <tool and b <")]
    [InlineData("<tool_call><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", "<tool_call> f{}")]
    [InlineData("<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>\n\nDone.", "Done. f{}")]
    public void Hermes_calls_are_read(string text, string shown) =>
        Assert.Equal(shown, Show(Parse(Syntax(ToolSyntax.Hermes), text).Answer));

    [Theory]
    [InlineData("Hello.", "Hello.")]
    [InlineData("{\"name\": \"f\", \"parameters\": {\"x\": 1}}", " f{\"x\": 1}")]
    [InlineData("\n<|python_tag|>{\"name\": \"f\", \"parameters\": {\"x\": 1}}", " f{\"x\": 1}")]
    [InlineData("{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"get_weather\", \"parameters\": {\"c\": null}}",
        " f{} get_weather{\"c\": null}")]
    [InlineData("{\"name\": \"f\", \"parameters\": {}}\n<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", " f{} f{}")]
    [InlineData("{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}", " f{}")]
    [InlineData("{\"name\": \"Ada\", \"age\": 36}", "{\"name\": \"Ada\", \"age\": 36}")]
    [InlineData("{\"x\": 1}", "{\"x\": 1}")]
    [InlineData("Well: {\"name\": \"f\", \"parameters\": {}}", "Well: {\"name\": \"f\", \"parameters\": {}}")]
    [InlineData("Well: <|python_tag|>{\"name\": \"f\", \"parameters\": {}}", "Well: f{}")]
    [InlineData("<|python_tag|>print(1)", "<|python_tag|>print(1)")]
    public void Llama_calls_are_read(string text, string shown) => Assert.Equal(shown, Show(Parse(Syntax(Llama), text).Answer));

    [Theory]
    [InlineData("Hello [there].", "Hello [there].")]
    [InlineData("[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"x\": 1}, \"id\": \"abcdefghi\"}]", " f{\"x\": 1}")]
    [InlineData("[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"get_weather\", \"arguments\": {}}]", " f{} get_weather{}")]
    [InlineData("[TOOL_CALLS]f[ARGS]{\"x\": 1}[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{}", " f{\"x\": 1} get_weather{}")]
    [InlineData("Sure.[TOOL_CALLS]f{\"x\": 1}", "Sure. f{\"x\": 1}")]
    [InlineData("[TOOL_CALLS]other[ARGS]{}", "[TOOL_CALLS]other[ARGS]{}")]
    [InlineData("[TOOL_CALLS][]", "[TOOL_CALLS][]")]
    [InlineData("[TOOL_CALLS]", "[TOOL_CALLS]")]
    public void Mistral_calls_are_read(string text, string shown) =>
        Assert.Equal(shown, Show(Parse(Syntax(Mistral), text).Answer));

    [Theory]
    [InlineData("<think>\nHm. <b>\n</think>\n\nYes.", "(Hm. <b>)Yes.")]
    [InlineData("Yes.", "Yes.")]
    [InlineData(" <thin air", " <thin air")]
    [InlineData("<think>\nHm.", "(Hm.)")]
    [InlineData("<think>Hm.</think><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", "(Hm.) f{}")]
    [InlineData("<think><tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call></think>Yes.",
        "(<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>)Yes.")]
    [InlineData("So: <think>Hm.</think>", "So: <think>Hm.</think>")]
    public void Thoughts_come_before_the_answer(string text, string shown) =>
        Assert.Equal(shown, Show(Parse(Syntax(ToolSyntax.Hermes, thinks: true), text).Answer));

    [Fact]
    public void Thoughts_that_the_prompt_has_opened_need_no_mark()
    {
        Assert.Equal("(Hm.)Yes.", Show(Parse(Syntax(null, thinks: true, thinking: true), "\nHm.\n</think>\n\nYes.").Answer));
        Assert.Equal("Yes.", Show(Parse(Syntax(null, thinks: true, thinking: true), "</think>Yes.").Answer));
    }

    [Fact]
    public void Only_the_first_call_counts_where_one_was_asked_for()
    {
        const string Text = "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call><tool_call>{\"name\": \"f\", "
            + "\"arguments\": {\"x\": 2}}</tool_call>";
        Assert.Equal(" f{\"x\": 1}", Show(Parse(Syntax(ToolSyntax.Hermes, parallel: false), Text).Answer));
    }

    [Fact]
    public void Arguments_are_given_as_they_come_and_markers_never()
    {
        var parser = new AnswerParser(Syntax(ToolSyntax.Hermes));
        Assert.Equal([new TextPart("I look")], parser.Push("I look \n<tool"));
        Assert.Empty(parser.Push("_call>\n{\"name\": \"get_weather\", \"argu"));
        Assert.Equal([new ToolCallBegun(0, "id", "get_weather"), new ToolCallArguments(0, "{\"ci")], parser.Push("ments\": {\"ci"));
        Assert.Equal([new ToolCallArguments(0, "ty\": \"Bern\"}")], parser.Push("ty\": \"Bern\"}"));
        Assert.Empty(parser.Push("}\n</tool_"));
        Assert.Empty(parser.Push("call>"));
        Assert.Empty(parser.Finish());
    }

    [Fact]
    public void However_a_text_is_cut_it_is_read_the_same()
    {
        Gen<(AnswerSyntax, string, int[])> cases =
            from syntax in Syntaxes
            from text in Texts
            from cuts in Gen.ListOf(Gen.Choose(0, Math.Max(0, text.Length)))
            select (syntax, text, cuts.Append(0).Append(text.Length).Distinct().Order().ToArray());
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(3000), Prop.ForAll(cases.ToArbitrary(), input =>
        {
            (AnswerSyntax syntax, string text, int[] cuts) = input;
            var parser = new AnswerParser(syntax);
            var parts = new List<AnswerPart>();
            foreach ((int from, int to) in cuts.Zip(cuts.Skip(1)))
            {
                parts.AddRange(parser.Push(text[from..to]));
            }

            parts.AddRange(parser.Finish());
            ParsedAnswer whole = Parse(syntax, text).Answer;
            Assert.Equal(Show(whole), Show(parser.Answer));
            Assert.Equal(Show(whole), Show(Gather(parts)));
        }));
    }

    [Fact]
    public void What_is_no_call_and_no_thought_stays_text_to_the_character() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(3000),
            Prop.ForAll((from syntax in Syntaxes from text in Texts select (syntax, text)).ToArbitrary(), input =>
        {
            ParsedAnswer answer = Parse(input.syntax, input.text).Answer;
            if (answer.ToolCalls.Count == 0 && input.syntax.Thinking != ThoughtState.Open && input.syntax.Channels is null
                && !input.text.TrimStart().StartsWith("<think>", StringComparison.Ordinal))
            {
                Assert.Equal(input.text, answer.Text);
            }

            Assert.All(answer.ToolCalls, call => Assert.NotNull(Find(call.Name)));
        }));

    [Fact]
    public void Calls_that_are_written_are_read_back()
    {
        Gen<string> values = Gen.Elements("1", "-0.5e+7", "true", "null", "\"a\\n\\\"\\u00e9}\"", "[]", "[1, {\"y\": \"[\"}]",
            "{\"z\": {}}", "\"</tool_call>\"", "\"[TOOL_CALLS]\"");
        Gen<ToolCall> calls =
            from name in Gen.Elements("f", "get_weather")
            from members in Gen.ListOf(values).Resize(4)
            select new ToolCall("id", name, $"{{{string.Join(", ", members.Select((value, i) => $"\"k{i}\": {value}"))}}}");
        var cases = from syntax in Gen.Elements(ToolSyntax.All.ToArray()) from list in Gen.NonEmptyListOf(calls) select (syntax, list);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1500), Prop.ForAll(cases.ToArbitrary(), input =>
        {
            // One message, one call: more would be more turns.
            ToolCall[] written = [.. input.list.Take(input.syntax.Name == "harmony" ? 1 : input.list.Count)];
            IReadOnlyList<ToolCall> read = Parse(Syntax(input.syntax), input.syntax.Write(written)).Answer.ToolCalls;
            Assert.Equal(written.Select(call => call.Name), read.Select(call => call.Name));
            Assert.All(written.Zip(read), pair => Assert.True(
                JsonNode.DeepEquals(JsonNode.Parse(pair.First.Arguments), JsonNode.Parse(pair.Second.Arguments)),
                $"{pair.First.Arguments} {pair.Second.Arguments}"));
        }));
    }

    [Fact]
    public void A_value_ends_where_JSON_ends()
    {
        Gen<string> texts = from parts in Gen.ListOf(Gen.Elements(
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\u00e9\\\\\"", "\"\\x\"", "1", "0", "-", ".", "5", "e", "+", "true", "nul", "l", " ",
            "\n", "\u0001", "\"k\":")).Resize(10)
                            select string.Concat(parts);
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(3000), Prop.ForAll(texts.ToArbitrary(), text =>
        {
            var scanner = new JsonScanner();
            int length = 0;
            JsonScanner.Step step = JsonScanner.Step.Inside;
            while (length < text.Length && step == JsonScanner.Step.Inside)
            {
                step = scanner.Feed(text[length]);
                length += step is JsonScanner.Step.Past or JsonScanner.Step.Broken ? 0 : 1;
            }

            // The library's reader is the judge, of what was put right where that is more.
            if (step is JsonScanner.Step.Last or JsonScanner.Step.Past)
            {
                string repaired = scanner.Take();
                using JsonDocument value = JsonDocument.Parse(repaired);
                Assert.True(scanner.Complete);
                Assert.True(Read(text[..length]) is null || repaired == text[..length]);
                return;
            }

            bool? complete = Read(text);
            Assert.True(complete is false || (complete is null && step is JsonScanner.Step.Broken or JsonScanner.Step.Inside), text);
        }));
    }

    [Theory]
    [InlineData("{\"a\": \"x\ty\nz\"}", "{\"a\": \"x\\ty\\nz\"}")]
    [InlineData("{\"a\": [1, 2,], }", "{\"a\": [1, 2] }")]
    [InlineData("[1,\n]", "[1\n]")]
    [InlineData("[1 , 2]", "[1 , 2]")]
    [InlineData("\"\\'\"", "\"'\"")]
    [InlineData("\"\\ud83d\\ude00 \\ud83d \\ude00\"", "\"\\ud83d\\ude00 \\ufffd \\ufffd\"")]
    public void What_can_mean_one_thing_only_is_put_right(string written, string meant)
    {
        var scanner = new JsonScanner();
        Assert.All(written[..^1], c => Assert.Equal(JsonScanner.Step.Inside, scanner.Feed(c)));
        Assert.Equal(JsonScanner.Step.Last, scanner.Feed(written[^1]));
        Assert.Equal(meant, scanner.Take());
    }

    [Theory]
    [InlineData("hermes", "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": \"a\tb\",},}\n</tool_call>", " f{\"x\": \"a\\tb\"}")]
    [InlineData("hermes", "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 'a'}}</tool_call> So.", "So. f{\"x\": ")]
    [InlineData("hermes", "<tool_call>{\"name\": \"f\" \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"f\" \"arguments\": {}}</tool_call>")]
    [InlineData("qwen-xml", "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\noops</function>\n</tool_call> So.",
        "So. f{\"x\": 1")]
    [InlineData("mistral-args", "[TOOL_CALLS]f[ARGS]{\"x\": @} and more", " f{\"x\": ")]
    [InlineData("qwen-xml", "Well.\n<function=f>\n<parameter=x>\n1\n</parameter>\n</function>\n</tool_call> So.", "Well.So. f{\"x\": 1}")]
    [InlineData("qwen-xml", "Write <function=g> or <function=", "Write <function=g> or <function=")]
    public void Broken_arguments_are_repaired_or_leave_nothing_behind(string syntax, string text, string shown) =>
        Assert.Equal(shown, Show(Parse(Syntax(ToolSyntax.Named(syntax)), text).Answer));

    [Theory]
    [InlineData("<tool_c", "")]
    [InlineData("Well.\n<tool_call>\n{\"na", "Well.")]
    [InlineData("<tool_call>\n{\"name\": \"f\", \"argu", " f")]
    [InlineData("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": \"y", " f{\"x\": \"y")]
    [InlineData("a < b", "a < b")]
    public void A_call_that_is_cut_off_leaves_no_marks(string text, string shown)
    {
        var parser = new AnswerParser(Syntax(ToolSyntax.Hermes));
        parser.Push(text);
        parser.Finish(isCut: true);
        Assert.Equal(shown, Show(parser.Answer));
    }

    /// <summary>Whether the library finds a whole value at the beginning of a text that may go on; null: it refuses the text.</summary>
    private static bool? Read(string text)
    {
        var reader = new Utf8JsonReader(Encoding.UTF8.GetBytes(text), isFinalBlock: false, default);
        try
        {
            return reader.Read() && reader.TrySkip();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The answer that parts add up to.</summary>
    private static ParsedAnswer Gather(IEnumerable<AnswerPart> parts)
    {
        string text = "";
        string? reasoning = null;
        var calls = new List<ToolCall>();
        foreach (AnswerPart part in parts)
        {
            switch (part)
            {
                case TextPart piece:
                    text += piece.Text;
                    break;
                case ReasoningPart piece:
                    reasoning += piece.Text;
                    break;
                case ToolCallBegun begun:
                    Assert.Equal(calls.Count, begun.Index);
                    calls.Add(new ToolCall(begun.Id, begun.Name, ""));
                    break;
                case ToolCallArguments piece:
                    Assert.Equal(calls.Count - 1, piece.Index);
                    calls[^1] = calls[^1] with { Arguments = calls[^1].Arguments + piece.Text };
                    break;
            }
        }

        return new ParsedAnswer(text, reasoning, calls);
    }
}
