using System.Text.Json;

namespace Understory.Server.OpenAi;

/// <summary>
/// <c>prediction</c> of a chat request: the answer as it is expected, <c>{"type": "content", "content": text or parts of text}</c>.
/// </summary>
public static class PredictionField
{
    private const string Name = "prediction";
    private const string Expected = "an object such as {\"type\": \"content\", \"content\": \"…\"}";
    private const string Parts = "a string or an array of {\"type\": \"text\", \"text\": …} parts";

    /// <returns>Null: absent.</returns>
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static string? Read(Fields fields)
    {
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object || !new Fields(value).TryGet("type", out JsonElement type))
        {
            throw Fields.Wrong(Name, value, Expected);
        }

        if (Fields.Text(type, $"{Name}.type", "\"content\"") != "content")
        {
            throw Fields.Wrong($"{Name}.type", type, "\"content\"");
        }

        const string Content = $"{Name}.content";
        if (!new Fields(value).TryGet("content", out JsonElement content))
        {
            throw ApiException.Invalid(Content, $"{Content} is missing; it must be {Parts}.");
        }

        return content.ValueKind == JsonValueKind.Array
            ? string.Concat(content.EnumerateArray().Select(part => ReadPart(part, Content)))
            : Fields.Text(content, Content, Parts);
    }

    private static string ReadPart(JsonElement part, string name) =>
        part.ValueKind == JsonValueKind.Object && new Fields(part).Text("type") is "text"
            && new Fields(part).TryGet("text", out JsonElement text)
            ? Fields.Text(text, $"{name}.text", "a string")
            : throw Fields.Wrong(name, part, Parts);
}
