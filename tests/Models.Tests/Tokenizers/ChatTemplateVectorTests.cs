using System.Text.Json;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>Real chat templates against what two other implementations of Jinja make of them.</summary>
public class ChatTemplateVectorTests
{
    [SharedDataTheory("chat_templates")]
    [InlineData("chatml", 33)]
    [InlineData("chatml-alternating", 33)]
    [InlineData("qwen2", 34)]
    [InlineData("qwen2.5-instruct", 34)]
    [InlineData("qwen3", 45)]
    [InlineData("llama-3", 34)]
    [InlineData("llama-3.1", 44)]
    [InlineData("llama-3.2", 44)]
    public void Every_reference_case_is_exact(string name, int count) => Check(name, ["cases"], count);

    [SharedDataTheory("chat_templates/recent")]
    [InlineData("gpt-oss", 46)]
    [InlineData("gemma-4", 50)]
    [InlineData("gemma-3", 17)]
    [InlineData("qwen3.5", 48)]
    [InlineData("qwen3-coder", 53)]
    [InlineData("smollm3", 46)]
    [InlineData("granite-4.0", 45)]
    [InlineData("granite-4.1", 45)]
    [InlineData("mistral-nemo", 48)]
    [InlineData("mistral-small-3.2", 47)]
    [InlineData("ministral-3-reasoning", 48)]
    [InlineData("phi-3.5-mini", 35)]
    [InlineData("muse-glimmer", 46)]
    [InlineData("lfm2.5", 45)]
    [InlineData("glm-4.6", 49)]
    public void Recent_templates_render_as_transformers_does(string name, int count) =>
        Check($"recent/{name}", ["cases", "jinja2-only.cases"], count);

    private static void Check(string name, string[] files, int count)
    {
        string source = File.ReadAllText(SharedData.PathOf($"chat_templates/{name}.jinja"));
        string[] cases = [.. files.Select(file => SharedData.PathOf($"chat_templates/{name}.{file}.jsonl")).Where(File.Exists)
            .SelectMany(File.ReadAllLines)];
        Assert.Equal(count, cases.Length);
        Assert.All(cases, line => ChatTemplateCase.Check(source, JsonDocument.Parse(line).RootElement));
    }
}

/// <summary>One case: variables of a template, and the text or the error that it must give.</summary>
internal static class ChatTemplateCase
{
    public static void Check(string source, JsonElement fields)
    {
        var variables = new OrderedDictionary<string, object?>();
        foreach (string name in (string[])["messages", "tools", "add_generation_prompt", "bos_token", "eos_token"])
        {
            if (fields.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null)
            {
                variables[name] = ChatTemplate.FromJson(value);
            }
        }

        foreach (JsonProperty extra in fields.TryGetProperty("extra", out JsonElement extras) ? extras.EnumerateObject() : default)
        {
            variables[extra.Name] = ChatTemplate.FromJson(extra.Value);
        }

        ChatTemplate template = ChatTemplate.Parse(
            source, fields.TryGetProperty("now", out JsonElement now)
                ? new StoppedClock(new DateTimeOffset(now.GetDateTime(), TimeSpan.Zero)) : null);
        if (fields.TryGetProperty("error", out JsonElement error))
        {
            Assert.Equal(error.GetString(), Assert.Throws<ChatTemplateException>(() => template.Render(variables)).Message);
        }
        else
        {
            Assert.Equal(fields.GetProperty("rendered").GetString(), template.Render(variables));
        }
    }
}

/// <summary>A clock that always tells the same time, in the zone that the time names.</summary>
internal sealed class StoppedClock(DateTimeOffset now) : TimeProvider
{
    public override TimeZoneInfo LocalTimeZone { get; } = TimeZoneInfo.CreateCustomTimeZone("test", now.Offset, "test", "test");

    public override DateTimeOffset GetUtcNow() => now.ToUniversalTime();
}
