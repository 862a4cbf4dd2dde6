using System.Text;
using System.Text.Json;
using Understory.Decoding.Constraints;

namespace Understory.Server.Chat;

/// <summary>A call whose arguments are literals of Python or of Gemma.</summary>
public sealed class LooseStyle(LooseSyntax syntax) : CallStyle
{
    public override IReadOnlyList<string> Marks { get; } = syntax.Quote is { } quote ? [quote] : [];

    public override IReadOnlyList<string> Signs { get; } = [syntax.Prefix, syntax.Open.ToString()];

    public override ICallReader NewReader(Func<string, Tool?> find, string? name) => new LooseCallReader(syntax, find);

    public override string Write(ToolCall call)
    {
        var text = new StringBuilder(syntax.Prefix).Append(call.Name).Append(syntax.Open);
        text.AppendJoin(syntax.Comma, Members(call.Arguments).Select(member => $"{member.Name}{syntax.Pair}{Value(member.Value)}"));
        return text.Append(syntax.Close).ToString();
    }

    internal override Grammar Form(Tool tool, FormTexts texts)
    {
        var forms = new LooseForms(syntax, tool, texts);
        return Grammar.Object(
            Grammar.Literal(syntax.Prefix + tool.Name + syntax.Open), forms.Arguments(), Grammar.Literal(syntax.Close.ToString()));
    }

    private static string Quoted(string text) => JsonSerializer.Serialize(text, ToolSyntax.Readable);

    private string Value(JsonElement value)
    {
        bool isPython = syntax.Quote is null;
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                return isPython ? Quoted(value.GetString()!) : syntax.Quote + value.GetString() + syntax.Quote;
            case JsonValueKind.Object:
                return "{" + string.Join(syntax.Comma, value.EnumerateObject().Select(member =>
                    (isPython ? Quoted(member.Name) + ": " : member.Name + ":") + Value(member.Value))) + "}";
            case JsonValueKind.Array:
                return "[" + string.Join(syntax.Comma, value.EnumerateArray().Select(Value)) + "]";
            case JsonValueKind.True or JsonValueKind.False when isPython:
                return value.GetBoolean() ? "True" : "False";
            case JsonValueKind.Null:
                return "None";
            default:
                return value.GetRawText();
        }
    }
}
