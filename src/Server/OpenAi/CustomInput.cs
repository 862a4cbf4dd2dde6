using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>
/// The text that a custom tool takes. To the model such a tool is a function of one string, so in its calls the text stands in an object;
/// to the client it is the text.
/// </summary>
internal static class CustomInput
{
    /// <summary>The member of the arguments that holds the text.</summary>
    private const string Member = "input";

    /// <summary><c>\u005c</c>.</summary>
    private const int LongestEscape = 6;

    /// <summary>The parameters of the function.</summary>
    /// <param name="regex">What all of the text matches; null: any text.</param>
    /// <param name="field">The request's field that holds it.</param>
    /// <exception cref="ApiException">400: it is no regular expression that texts can be held to.</exception>
    public static JsonElement Schema(string? regex, string field)
    {
        string text = regex is null ? "{\"type\": \"string\"}"
            : $"{{\"type\": \"string\", \"pattern\": {JsonSerializer.Serialize(Pattern(regex, field), ToolSyntax.Readable)}}}";
        return JsonDocument.Parse($"{{\"type\": \"object\", \"properties\": {{\"{Member}\": {text}}}, \"required\": [\"{Member}\"], "
            + "\"additionalProperties\": false}").RootElement;
    }

    /// <summary>The same as a pattern of JSON Schema, which holds where it matches any part of a text.</summary>
    private static string Pattern(string regex, string field)
    {
        try
        {
            _ = Grammar.Regex(regex);
        }
        catch (GrammarException e)
        {
            throw ApiException.Invalid(field, $"{field}: {e.Message}", "invalid_schema");
        }

        string bare = regex.StartsWith('^') ? regex[1..] : regex;
        bool anchored = bare.EndsWith('$') && bare[..^1].Reverse().TakeWhile(c => c == '\\').Count() % 2 == 0;
        return $"^(?:{(anchored ? bare[..^1] : bare)})$";
    }

    /// <summary>The arguments of an earlier call.</summary>
    public static string Arguments(string input) => $"{{\"{Member}\": {JsonSerializer.Serialize(input, ToolSyntax.Readable)}}}";

    /// <summary>The text in what a model wrote, of a call that was cut as far as it came; another object is a text itself.</summary>
    public static string Of(string arguments)
    {
        string written = BrokenPairs.Repair(arguments);
        if (TryRead(written, out string? text))
        {
            return text ?? arguments;
        }

        // Cut within the string, or within an escape of it.
        for (int left = written.Length; left >= Math.Max(0, written.Length - LongestEscape); left--)
        {
            if (TryRead(written[..left] + "\"}", out text) && text is not null)
            {
                return text;
            }
        }

        return "";
    }

    /// <param name="text">Null: JSON, but no object with the text.</param>
    /// <returns>False: no JSON.</returns>
    private static bool TryRead(string arguments, out string? text)
    {
        text = null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(arguments);
            text = document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty(Member, out JsonElement input) && input.ValueKind == JsonValueKind.String
                ? input.GetString() : null;
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }
}
