using System.Text;
using System.Text.Json;
using Understory.Decoding.Constraints;

namespace Understory.Server.Chat;

/// <summary>A call whose arguments stand between tags.</summary>
public sealed class TaggedStyle(TagSyntax tags) : CallStyle
{
    private string Edge => tags.OwnLines ? "\n" : "";

    private string ValueOpen => tags.Between + tags.ValueOpen + Edge;

    private string ValueClose => Edge + tags.ValueClose + "\n";

    private string NameClose => tags.NameOpen.Length == 0 ? tags.NameClose : tags.NameClose + "\n";

    public override string? End => tags.CallClose;

    public override IReadOnlyList<string> Signs { get; } = [tags.NameOpen, tags.KeyOpen, tags.CallClose];

    public override IReadOnlyList<string> Marks => tags.NameOpen.Length > 0 ? []
        : [tags.KeyOpen, tags.KeyClose, tags.ValueOpen, tags.ValueClose, tags.CallClose];

    public override ICallReader NewReader(Func<string, Tool?> find, string? name) => new TaggedCallReader(tags, find);

    public override string Write(ToolCall call)
    {
        var text = new StringBuilder(tags.NameOpen + call.Name + NameClose);
        foreach ((string name, JsonElement value) in Members(call.Arguments))
        {
            text.Append(tags.KeyOpen).Append(name).Append(tags.KeyClose).Append(ValueOpen)
                .Append(value.ValueKind == JsonValueKind.String ? value.GetString() : value.GetRawText()).Append(ValueClose);
        }

        return text.Append(tags.CallClose).ToString();
    }

    internal override Grammar Form(Tool tool, FormTexts texts)
    {
        JsonElement schema = SchemaWalk.Resolve(tool.Parameters, tool.Parameters);
        var kinds = new ParameterKinds(tool.Parameters);
        var parts = new List<Grammar>();
        bool hasProperties = schema.TryGetProperty("properties", out JsonElement properties)
            && properties.ValueKind == JsonValueKind.Object && properties.EnumerateObject().Any();
        HashSet<string> required = SchemaWalk.Required(schema);
        foreach (JsonProperty property in hasProperties ? properties.EnumerateObject() : default)
        {
            Grammar argument = Grammar.Sequence(texts.Of(tags.KeyOpen + property.Name + tags.KeyClose + ValueOpen),
                Value(tool, property.Value, kinds.IsText(property.Name), texts), texts.Of(ValueClose));
            parts.Add(required.Contains(property.Name) ? argument : Grammar.Optional(argument));
        }

        bool isClosed = schema.TryGetProperty("additionalProperties", out JsonElement other) && other.ValueKind == JsonValueKind.False;
        if (!hasProperties && !isClosed)
        {
            Grammar name = Grammar.Repeat(Grammar.Characters(('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')), 1);
            parts.Add(Grammar.Repeat(Grammar.Sequence(texts.Of(tags.KeyOpen), Grammar.Key(name, texts.Of(tags.KeyClose + ValueOpen)),
                Grammar.TextWithout(tags.ValueClose), texts.Of(ValueClose))));
        }

        return Grammar.Object(texts.Of(tags.NameOpen + tool.Name + NameClose), Grammar.Sequence([.. parts]), texts.Of(tags.CallClose));
    }

    /// <summary>A string as it is; anything else as JSON, which must not hold the mark that ends a value.</summary>
    private Grammar Value(Tool tool, JsonElement schema, bool isText, FormTexts texts) => isText
        ? FormTexts.Text(SchemaWalk.Resolve(tool.Parameters, schema), tags.ValueClose)
        : texts.Json(tool, schema);
}
