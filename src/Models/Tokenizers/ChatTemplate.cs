using System.Globalization;
using System.Numerics;
using System.Text.Json;
using Understory.Models.Tokenizers.Templates;

namespace Understory.Models.Tokenizers;

/// <summary>
/// A model's chat template: the part of Jinja that such templates use, rendered as Hugging Face's transformers does (block tags
/// swallow their line's blanks and line end; <c>tojson</c> leaves text readable). May be used by several threads at once.
/// </summary>
public sealed class ChatTemplate
{
    private readonly IReadOnlyList<Statement> _body;
    private readonly TimeProvider _time;

    private ChatTemplate(string source, IReadOnlyList<Statement> body, TimeProvider time)
    {
        Source = source;
        _body = body;
        _time = time;
    }

    /// <summary>The template as it was written.</summary>
    public string Source { get; }

    /// <summary>The text of the token that begins a text, to be passed as <c>bos_token</c>; null if unknown.</summary>
    public string? BosToken { get; init; }

    /// <summary>The text of the token that ends a text, to be passed as <c>eos_token</c>; null if unknown.</summary>
    public string? EosToken { get; init; }

    /// <summary>The template for chats with tools; null: this one is.</summary>
    public ChatTemplate? ForTools { get; init; }

    /// <summary>Reads a template.</summary>
    /// <param name="time">What <c>strftime_now</c> tells; the system's time if null.</param>
    /// <param name="forTools">The source of the template for chats with tools; null: this one is.</param>
    /// <exception cref="InvalidDataException">The template is broken or uses something unsupported; the message names the line.</exception>
    public static ChatTemplate Parse(string source, TimeProvider? time = null, string? forTools = null) =>
        new(source, new Parser(Lexer.Read(source)).ParseTemplate(), time ?? TimeProvider.System)
        {
            ForTools = forTools is null ? null : Parse(forTools, time),
        };

    /// <summary>
    /// The chat template of a model's folder: <c>chat_template.jinja</c>, <c>chat_template.json</c>, or the field of
    /// tokenizer_config.json, which also names the tokens; beside it the one named <c>tool_use</c>. Null if there is none.
    /// </summary>
    /// <exception cref="InvalidDataException">A file is broken, or the template as for <see cref="Parse"/>.</exception>
    public static ChatTemplate? FromFolder(string modelFolder)
    {
        TokenizerConfig? config = TokenizerConfig.Read(modelFolder);
        string jinja = Path.Combine(modelFolder, "chat_template.jinja");
        string json = Path.Combine(modelFolder, "chat_template.json");
        (string? source, string path) = File.Exists(jinja) ? (File.ReadAllText(jinja), jinja)
            : File.Exists(json) ? (TokenizerConfig.ReadTemplate(json), json)
            : (config?.ChatTemplate, Path.Combine(modelFolder, "tokenizer_config.json"));
        if (source is null)
        {
            return null;
        }

        try
        {
            ChatTemplate Read(string text, ChatTemplate? forTools = null)
            {
                ChatTemplate template = Parse(text);
                return new ChatTemplate(text, template._body, template._time)
                {
                    BosToken = config?.BosToken,
                    EosToken = config?.EosToken,
                    ForTools = forTools,
                };
            }

            string named = Path.Combine(modelFolder, "additional_chat_templates", "tool_use.jinja");
            string? tools = File.Exists(named) ? File.ReadAllText(named) : config?.ToolTemplate;
            return Read(source, tools is null ? null : Read(tools));
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{path}: chat template: {e.Message}", e);
        }
    }

    /// <summary>The text of a conversation.</summary>
    /// <param name="variables">
    /// What the template sees: <c>messages</c>, <c>add_generation_prompt</c>, <c>tools</c> and the like. A value is a string, bool, long,
    /// BigInteger, double, null, a list of values, or a dictionary from string to value, whose order of keys counts.
    /// </param>
    /// <exception cref="ChatTemplateException">
    /// The template refuses these variables, or fails on them, or takes too many steps or too much space.
    /// </exception>
    public string Render(IReadOnlyDictionary<string, object?> variables)
    {
        var context = new RenderContext(variables, _time);
        Statement.ExecuteAll(_body, context);
        return context.Output.ToString();
    }

    /// <summary>A JSON value as templates see it; numbers without point and exponent are integers.</summary>
    /// <exception cref="ChatTemplateException">Some text has half of a surrogate pair.</exception>
    public static object? FromJson(JsonElement element)
    {
        try
        {
            return Convert(element);
        }
        catch (InvalidOperationException e)
        {
            throw new ChatTemplateException("Some text is not well-formed Unicode.", e);
        }
    }

    private static object? Convert(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                var members = new OrderedDictionary<string, object?>();
                foreach (JsonProperty member in element.EnumerateObject())
                {
                    members[member.Name] = Convert(member.Value);
                }

                return members;
            case JsonValueKind.Array:
                return element.EnumerateArray().Select(Convert).ToList();
            case JsonValueKind.String:
                return element.GetString();
            case JsonValueKind.Number:
                string digits = element.GetRawText();
                if (digits.AsSpan().IndexOfAny('.', 'e', 'E') >= 0)
                {
                    return element.GetDouble();
                }

                return element.TryGetInt64(out long integer) ? integer : (object)BigInteger.Parse(digits, CultureInfo.InvariantCulture);
            case JsonValueKind.True:
                return true;
            case JsonValueKind.False:
                return false;
            default:
                return null;
        }
    }
}
