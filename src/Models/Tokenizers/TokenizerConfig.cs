using Understory.Models.Formats;

namespace Understory.Models.Tokenizers;

/// <summary>What Understory reads of a tokenizer_config.json.</summary>
/// <param name="BosToken">The text of the token that begins a text; null if there is none.</param>
/// <param name="EosToken">The text of the token that ends a text; null if there is none.</param>
/// <param name="ChatTemplate">The source of the chat template; null if there is none.</param>
/// <param name="ToolTemplate">The source of the template named <c>tool_use</c>, for chats with tools; null if there is none.</param>
public sealed record TokenizerConfig(string? BosToken, string? EosToken, string? ChatTemplate, string? ToolTemplate = null)
{
    /// <summary>Classes of transformers that put their own tokens around a text, whatever the tokenizer.json says.</summary>
    private static readonly HashSet<string> _classes =
        [.. from name in new[] { "Llama", "CodeLlama", "Gemma", "Cohere" } from end in new[] { "", "Fast" } select $"{name}Tokenizer{end}"];

    /// <summary><c>tokenizer_class</c>.</summary>
    public string? Class { get; init; }

    /// <summary><c>add_bos_token</c>; null: it does not say.</summary>
    public bool? AddBos { get; init; }

    /// <summary><c>add_eos_token</c>; null: it does not say.</summary>
    public bool? AddEos { get; init; }

    /// <summary>The flags count: a plain fast tokenizer ignores them.</summary>
    public bool AddsItsOwn => Class is not null && _classes.Contains(Class) && (AddBos is not null || AddEos is not null);

    /// <summary>Reads tokenizer_config.json of a model's folder; null if there is none.</summary>
    /// <exception cref="InvalidDataException">The file is broken.</exception>
    public static TokenizerConfig? Read(string folder)
    {
        string path = Path.Combine(folder, "tokenizer_config.json");
        return !File.Exists(path) ? null : Read(path, root =>
            new TokenizerConfig(Token(root["bos_token"]), Token(root["eos_token"]), Template(root["chat_template"], "default"),
                Template(root["chat_template"], "tool_use"))
            {
                Class = root["tokenizer_class"].TextOrNull(),
                AddBos = root["add_bos_token"].FlagOrNull(),
                AddEos = root["add_eos_token"].FlagOrNull(),
            });
    }

    /// <summary>Reads a chat_template.json; null if it has none.</summary>
    internal static string? ReadTemplate(string path) => Read(path, root => Template(root["chat_template"], "default"));

    private static T Read<T>(string path, Func<JsonField, T> read)
    {
        try
        {
            return read(new JsonField(path, "", FileText.Json(path)));
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>A token is written as its text or as an object with its <c>content</c>.</summary>
    private static string? Token(JsonField field) => field.IsNull ? null : field.IsText ? field.Text() : field["content"].TextOrNull();

    /// <summary>A template is written as its source, which is the default one, or as a list of templates with names.</summary>
    private static string? Template(JsonField field, string name)
    {
        if (!field.IsArray)
        {
            return name == "default" ? field.TextOrNull() : null;
        }

        foreach (JsonField named in field.Items())
        {
            if (named["name"].TextOrNull() == name)
            {
                return named["template"].Text();
            }
        }

        return null;
    }
}
