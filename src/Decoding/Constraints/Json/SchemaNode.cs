using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>One of the schemas that a value must satisfy together.</summary>
/// <param name="Path">JSON pointer from the root, beginning with <c>#</c>.</param>
/// <param name="WithoutAlternatives">Its <c>anyOf</c> and <c>oneOf</c> have been taken out: each alternative is compiled for
/// itself.</param>
internal readonly record struct SchemaNode(JsonElement Schema, string Path, bool WithoutAlternatives = false)
{
    public SchemaNode this[string keyword] => new(Schema.GetProperty(keyword), $"{Path}/{Escape(keyword)}");

    public string Key => WithoutAlternatives ? Path + " " : Path;

    public bool Has(string keyword) => Schema.TryGetProperty(keyword, out _);

    /// <summary>Schemas in an array or object under a keyword, with their names.</summary>
    public IEnumerable<(string Name, SchemaNode Node)> Under(string keyword)
    {
        SchemaNode holder = this[keyword];
        if (holder.Schema.ValueKind == JsonValueKind.Object)
        {
            return holder.Schema.EnumerateObject()
                .Select(entry => (entry.Name, new SchemaNode(entry.Value, $"{holder.Path}/{Escape(entry.Name)}")));
        }

        return holder.Schema.ValueKind == JsonValueKind.Array
            ? holder.Schema.EnumerateArray().Select((schema, i) => ($"{i}", new SchemaNode(schema, $"{holder.Path}/{i}")))
            : throw holder.Broken("an array or object of schemas");
    }

    /// <summary>A count under a keyword.</summary>
    public int Count(string keyword)
    {
        SchemaNode node = this[keyword];
        return node.Schema.ValueKind == JsonValueKind.Number && node.Schema.TryGetDecimal(out decimal value) && value >= 0
            && value == Math.Floor(value)
            ? (int)Math.Min(value, int.MaxValue)
            : throw node.Broken("a whole number that is 0 or more");
    }

    public string Text(string keyword)
    {
        SchemaNode node = this[keyword];
        return node.Schema.ValueKind == JsonValueKind.String ? node.Schema.GetString()! : throw node.Broken("a string");
    }

    /// <summary>The bound under a keyword.</summary>
    public decimal Number(string keyword)
    {
        SchemaNode node = this[keyword];
        return node.Schema.ValueKind == JsonValueKind.Number && node.Schema.TryGetDecimal(out decimal value)
            ? value
            : throw node.Broken("a number that a decimal of 28 digits can hold");
    }

    public IEnumerable<string> Names(string keyword)
    {
        SchemaNode node = this[keyword];
        if (node.Schema.ValueKind != JsonValueKind.Array
            || node.Schema.EnumerateArray().Any(name => name.ValueKind != JsonValueKind.String))
        {
            throw node.Broken("an array of strings");
        }

        return node.Schema.EnumerateArray().Select(name => name.GetString()!);
    }

    public GrammarException Broken(string expected) => new(Path, $"{expected} is expected, not {Shown()}.");

    private string Shown()
    {
        string text = Schema.GetRawText();
        return text.Length <= 60 ? text : text[..60] + "…";
    }

    private static string Escape(string name) =>
        name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
}
