using System.Text.Json;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

public class ChatTemplateTests
{
    [Fact]
    public void Our_templates_render_as_the_reference_does()
    {
        string[] cases = File.ReadAllLines(Repository.Fixture("chat_templates/cases.jsonl"));
        Assert.Equal(16, cases.Length);
        Assert.All(cases, line =>
        {
            JsonElement fields = JsonDocument.Parse(line).RootElement;
            string template = fields.GetProperty("template").GetString()!;
            ChatTemplateCase.Check(File.ReadAllText(Repository.Fixture($"chat_templates/{template}.jinja")), fields);
        });
    }

    [Fact]
    public void Snippets_give_what_Jinja_gives()
    {
        JsonElement snippets = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("chat_templates/snippets.json"))).RootElement;
        var variables = (IReadOnlyDictionary<string, object?>)ChatTemplate.FromJson(snippets.GetProperty("variables"))!;
        JsonElement[] cases = [.. snippets.GetProperty("cases").EnumerateArray()];
        Assert.NotEmpty(cases);
        Assert.All(cases, snippet =>
        {
            string source = snippet.GetProperty("source").GetString()!;
            if (snippet.TryGetProperty("broken", out _))
            {
                Assert.StartsWith("line 1: ", Assert.Throws<InvalidDataException>(() => ChatTemplate.Parse(source)).Message);
            }
            else if (snippet.TryGetProperty("error", out JsonElement error))
            {
                string message = Assert.Throws<ChatTemplateException>(() => ChatTemplate.Parse(source).Render(variables)).Message;
                Assert.Equal(error.GetString() ?? message, message);
            }
            else
            {
                Assert.Equal(snippet.GetProperty("rendered").GetString(), ChatTemplate.Parse(source).Render(variables));
            }
        });
    }

    [Theory]
    [InlineData("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}")]
    [InlineData("{% for i in range(100000000000) %}{% endfor %}")]
    [InlineData("{{ 'x' * 100000000000 }}")]
    [InlineData("{% set ns = namespace(x='abc') %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}")]
    [InlineData("{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}")]
    [InlineData("{% set ns = namespace(x='aa') %}{% for i in range(100) %}{% set ns.x = ns.x | replace('a', 'aa') %}{% endfor %}")]
    [InlineData("{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}")]
    [InlineData("{% set ns = namespace(x=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}")]
    [InlineData("{% set ns = namespace(x=[], y=[]) %}{% for i in range(10000) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor "
        + "%}{{ ns.x == ns.y }}")]
    [InlineData("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}")]
    [InlineData("{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")]
    public void A_template_that_runs_away_is_stopped(string source)
    {
        ChatTemplate template = ChatTemplate.Parse(source);
        Assert.Throws<ChatTemplateException>(() => template.Render(new Dictionary<string, object?>()));
    }

    [Fact]
    public void Deep_nesting_in_the_source_is_refused()
    {
        foreach (string source in (string[])[
            "{{ " + new string('(', 100_000), "{{ " + new string('-', 100_000) + "1 }}",
            string.Concat(Enumerable.Repeat("{% if x %}", 100_000)),
            "{{ " + string.Concat(Enumerable.Repeat("not ", 100_000)) + "x }}", "{{ " + string.Concat(Enumerable.Repeat("[", 100_000))
                + " }}"])
        {
            Assert.Throws<InvalidDataException>(() => ChatTemplate.Parse(source));
        }

        ChatTemplate sum = ChatTemplate.Parse("{{ 1" + string.Concat(Enumerable.Repeat(" + 1", 100_000)) + " }}");
        Assert.Throws<ChatTemplateException>(() => sum.Render(new Dictionary<string, object?>()));
    }

    [Theory]
    [InlineData("""{"role": "\ud800"}""")]
    [InlineData("""[{"\ud800": 1}]""")]
    public void Half_a_surrogate_pair_in_a_conversation_is_refused(string json)
    {
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.FromJson(JsonDocument.Parse(json).RootElement));
    }

    [Fact]
    public void A_folder_gives_its_template_and_tokens()
    {
        string folder = Directory.CreateTempSubdirectory("chat-template").FullName;
        try
        {
            Assert.Null(ChatTemplate.FromFolder(folder));
            Write("tokenizer_config.json", """{"bos_token": "<s>", "eos_token": {"content": "</s>"}}""");
            Assert.Null(ChatTemplate.FromFolder(folder));
            Write("tokenizer_config.json", """{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "one"}""");
            Check("one");
            Write("tokenizer_config.json", """{"bos_token": "<s>", "eos_token": "</s>", "chat_template": ["""
                + """{"name": "rag", "template": "r"}, {"name": "default", "template": "two"}]}""");
            Check("two");
            Assert.Null(ChatTemplate.FromFolder(folder)!.ForTools);
            Write("tokenizer_config.json", """{"bos_token": "<s>", "eos_token": "</s>", "chat_template": ["""
                + """{"name": "tool_use", "template": "t"}, {"name": "default", "template": "two"}]}""");
            Check("two");
            Assert.Equal("t", ChatTemplate.FromFolder(folder)!.ForTools?.Source);
            Write("chat_template.json", """{"chat_template": "three"}""");
            Check("three");
            Write("chat_template.jinja", "four");
            Check("four");
            Write("chat_template.jinja", "\n{% if %}");
            string message = Assert.Throws<InvalidDataException>(() => ChatTemplate.FromFolder(folder)).Message;
            Assert.StartsWith($"{Path.Combine(folder, "chat_template.jinja")}: chat template: line 2: ", message);
            Write("tokenizer_config.json", """{"bos_token": 5}""");
            Assert.Throws<InvalidDataException>(() => ChatTemplate.FromFolder(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        void Write(string name, string text) => File.WriteAllText(Path.Combine(folder, name), text);

        void Check(string text)
        {
            ChatTemplate template = ChatTemplate.FromFolder(folder)!;
            Assert.Equal((text, "<s>", "</s>"), (template.Render(new Dictionary<string, object?>()), template.BosToken, template.EosToken));
        }
    }
}
