using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.Tests.Chat;

/// <summary>Short templates, one for each way of calls, and what is asked of them.</summary>
internal static class TalkTemplates
{
    public static Tokenizer Demo { get; } = Tokenizer.Load(Standin.TokenizerFile);

    public static Tool Weather { get; } = new("get_weather", "Of a city", JsonDocument.Parse("""
        {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
        """).RootElement);

    public static Conversation Ask { get; } = new() { Turns = [new("user", "Weather in Oslo?")], Tools = [Weather] };

    /// <summary>What stands around thoughts (X) in the short templates of <c>chat_templates/talk</c>; empty: they have none.</summary>
    public static Dictionary<string, string> Thoughts { get; } = new()
    {
        ["hermes"] = "<think>\nX\n</think>\n\n",
        ["llama"] = "",
        ["mistral"] = "",
        ["mistral-id"] = "",
        ["mistral-args"] = "[THINK]X[/THINK]",
        ["phi"] = "",
        ["granite"] = "<think>X</think><response>",
        ["cohere"] = "<|START_THINKING|>X<|END_THINKING|>",
        ["lfm2"] = "<think>X</think>",
        ["gemma"] = "<|channel>thought\nX\n<channel|>",
        ["qwen-xml"] = "<think>X</think>",
        ["glm"] = "<think>X</think>",
        ["minimax"] = "<think>X</think>",
        ["deepseek"] = "<think>X</think>",
        ["deepseek-v3.1"] = "<think>X</think>",
        ["kimi"] = "",
    };

    public static TheoryData<string> Families => [.. Thoughts.Keys];

    /// <summary>A whole template: turns with roles, thoughts, text and calls.</summary>
    public static string Source(string family)
    {
        string calls = File.ReadAllText(Path.Combine(Tools.Root, "tests", "Fixtures", "chat_templates", "talk", family + ".jinja"));
        string around = JsonSerializer.Serialize(Thoughts[family]);
        string thought = Thoughts[family].Length == 0 ? ""
            : $"{{% if m.reasoning_content %}}{{{{ {around}.replace('X', m.reasoning_content) }}}}{{% endif %}}";
        return "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}{{ '\n' }}" + thought
            + "{{ m.content or '' }}" + calls.TrimEnd() + "<|im_end|>{{ '\n' }}{% endfor %}"
            + "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}";
    }

    /// <summary>How a family's template wants its messages.</summary>
    public static TemplateValues.Wishes WishesOf(string family) => new(
        ArgumentsAsText: family.StartsWith("deepseek", StringComparison.Ordinal), NamedIds: family == "kimi",
        NoContent: family == "deepseek");

    public static string Render(ChatTemplate template, TemplateValues.Wishes wishes, params ChatTurn[] turns) =>
        template.Render(new Dictionary<string, object?>
        {
            ["messages"] = TemplateValues.Messages(turns, wishes),
            ["tools"] = TemplateValues.Tools([Weather]),
        });

    /// <summary>Reads a text whole, and cut in two at every place, and by single characters.</summary>
    public static void CheckCuts(AnswerSyntax syntax, string written, string text, string? reasoning, IReadOnlyList<string> arguments)
    {
        Check(written);
        Check([.. written.Select(c => c.ToString())]);
        for (int cut = 1; cut < written.Length; cut++)
        {
            Check(written[..cut], written[cut..]);
        }

        void Check(params string[] pieces)
        {
            var parser = new AnswerParser(syntax);
            var parts = new List<AnswerPart>();
            foreach (string piece in pieces)
            {
                parts.AddRange(parser.Push(piece));
            }

            parts.AddRange(parser.Finish());
            ParsedAnswer answer = parser.Answer;
            Assert.Equal(text, answer.Text);
            Assert.Equal(reasoning, answer.Reasoning);
            Assert.Equal(arguments.Count, answer.ToolCalls.Count);
            Assert.All(arguments.Zip(answer.ToolCalls), pair =>
            {
                Assert.Equal("get_weather", pair.Second.Name);
                Assert.True(JsonNode.DeepEquals(JsonNode.Parse(pair.First), JsonNode.Parse(pair.Second.Arguments)), pair.Second.Arguments);
            });
            Assert.Equal(text, string.Concat(parts.OfType<TextPart>().Select(part => part.Text)));
            Assert.Equal(reasoning ?? "", string.Concat(parts.OfType<ReasoningPart>().Select(part => part.Text)));
            Assert.Equal(string.Concat(answer.ToolCalls.Select(call => call.Arguments)),
                string.Concat(parts.OfType<ToolCallArguments>().Select(part => part.Text)));
        }
    }
}
