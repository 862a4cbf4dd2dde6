using System.Text.Json;
using Understory.Decoding.Constraints;

namespace Understory.Server.Chat;

/// <summary>How one call is written: its reader, its writer and its grammar are the same language.</summary>
public abstract class CallStyle
{
    /// <summary>Marks within a call that tokenizers may hold as special tokens.</summary>
    public virtual IReadOnlyList<string> Marks => [];

    /// <summary>What ends a call where it does not tell by itself.</summary>
    public virtual string? End => null;

    /// <summary>Texts that every call with arguments holds.</summary>
    public abstract IReadOnlyList<string> Signs { get; }

    /// <param name="find">The tool of a name that may be called; null: there is none.</param>
    /// <param name="name">The name, where the head of a message has said it.</param>
    public abstract ICallReader NewReader(Func<string, Tool?> find, string? name);

    /// <summary>A call as the model would have written it.</summary>
    public abstract string Write(ToolCall call);

    /// <summary>Calls of a tool whose arguments its schema allows.</summary>
    /// <exception cref="GrammarException">The schema cannot be used.</exception>
    internal abstract Grammar Form(Tool tool, FormTexts texts);

    /// <summary>The arguments as an object; empty where they are none.</summary>
    protected static IReadOnlyList<(string Name, JsonElement Value)> Members(string arguments)
    {
        try
        {
            JsonElement root = JsonDocument.Parse(arguments).RootElement;
            return root.ValueKind == JsonValueKind.Object ? [.. root.EnumerateObject().Select(member => (member.Name, member.Value))] : [];
        }
        catch (JsonException)
        {
            return [];
        }
    }
}

/// <summary><c>{"name": "f", "arguments": {…}}</c>.</summary>
public sealed class JsonCallStyle(string nameKey, string argumentsKey) : CallStyle
{
    public override IReadOnlyList<string> Signs { get; } = [$"\"{nameKey}\"", $"\"{argumentsKey}\""];

    /// <summary>The member before the name that holds an id, counted from 0; null: there is none.</summary>
    public string? IdKey { get; init; }

    /// <summary>A member <c>id</c> of nine letters and digits may come last.</summary>
    public bool HasShortId { get; init; }

    public override ICallReader NewReader(Func<string, Tool?> find, string? name) => new JsonCallReader(find);

    public override string Write(ToolCall call) =>
        $"{{{(IdKey is null ? "" : $"\"{IdKey}\": {JsonSerializer.Serialize(call.Id, ToolSyntax.Readable)}, ")}\"{nameKey}\": "
        + $"{JsonSerializer.Serialize(call.Name, ToolSyntax.Readable)}, \"{argumentsKey}\": {call.Arguments}"
        + (HasShortId ? $", \"id\": \"{TemplateValues.ShortId(call.Id)}\"}}" : "}");

    internal override Grammar Form(Tool tool, FormTexts texts)
    {
        Grammar id = IdKey is null ? Grammar.Empty
            : Grammar.Sequence(Grammar.Literal($"\"{IdKey}\": \""), Grammar.Repeat(Grammar.Characters(('0', '9')), 1, 9),
                Grammar.Literal("\", "));
        Grammar shortId = !HasShortId ? Grammar.Empty : Grammar.Optional(Grammar.Sequence(Grammar.Literal(", \"id\": \""),
            FormTexts.ShortId, Grammar.Literal("\"")));
        return Grammar.Sequence(Grammar.Literal("{"), id,
            Grammar.Literal($"\"{nameKey}\": {JsonSerializer.Serialize(tool.Name, ToolSyntax.Readable)}, \"{argumentsKey}\": "),
            texts.Arguments(tool), shortId, Grammar.Literal("}"));
    }
}

/// <summary><c>f[ARGS]{…}</c> or <c>f[CALL_ID]id[ARGS]{…}</c>.</summary>
public sealed class NamedStyle(bool hasId) : CallStyle
{
    public override IReadOnlyList<string> Marks { get; } = [NamedCallReader.IdMark, NamedCallReader.ArgumentsMark];

    public override IReadOnlyList<string> Signs { get; } =
        hasId ? [NamedCallReader.IdMark, NamedCallReader.ArgumentsMark] : [NamedCallReader.ArgumentsMark];

    public override ICallReader NewReader(Func<string, Tool?> find, string? name) => new NamedCallReader(find, name);

    public override string Write(ToolCall call) =>
        call.Name + (hasId ? NamedCallReader.IdMark + TemplateValues.ShortId(call.Id) : "") + NamedCallReader.ArgumentsMark
        + call.Arguments;

    internal override Grammar Form(Tool tool, FormTexts texts) => Grammar.Sequence(Grammar.Literal(tool.Name),
        hasId ? Grammar.Sequence(texts.Of(NamedCallReader.IdMark), FormTexts.ShortId) : Grammar.Empty,
        texts.Of(NamedCallReader.ArgumentsMark), texts.Arguments(tool));
}

/// <summary>The arguments alone, a JSON object; the name stands in the message's head.</summary>
public sealed class JsonArgumentsStyle : CallStyle
{
    public override IReadOnlyList<string> Signs { get; } = [];

    public override ICallReader NewReader(Func<string, Tool?> find, string? name) => new NamedCallReader(find, name);

    public override string Write(ToolCall call) => call.Arguments;

    internal override Grammar Form(Tool tool, FormTexts texts) => texts.Arguments(tool);
}
