using System.Globalization;
using System.Text.Json;

namespace Understory.Decoding.Constraints.Json;

/// <summary>
/// A place in a schema's document, one object for each, so that places are compared by reference. Whoever reads a keyword reads it here,
/// where its kind is checked.
/// </summary>
internal sealed class SchemaNode
{
    private static int s_count;

    private readonly GrammarBudget _budget;
    private readonly SchemaNode? _parent;
    private readonly string _step;
    private Dictionary<string, SchemaNode>? _children;
    private Dictionary<string, IReadOnlyList<(string Name, SchemaNode Node)>>? _lists;
    private Dictionary<string, JsonElement>? _keywords;

    private SchemaNode(JsonElement schema, SchemaNode? parent, string step, GrammarBudget budget)
    {
        (Schema, _parent, _step, _budget) = (schema, parent, step, budget);
        Id = Interlocked.Increment(ref s_count);
        budget.Work(60);
    }

    public JsonElement Schema { get; }

    /// <summary>Tells places apart in keys.</summary>
    public int Id { get; }

    /// <summary>The document has been seen to be a schema here: see <see cref="SchemaKeywords.Check"/>.</summary>
    public bool IsChecked { get; set; }

    /// <summary>JSON pointer from the root, beginning with <c>#</c>.</summary>
    public string Path
    {
        get
        {
            var steps = new Stack<string>();
            for (SchemaNode? node = this; node is not null; node = node._parent)
            {
                steps.Push(node._parent is null ? node._step : Escape(node._step));
            }

            return string.Join('/', steps);
        }
    }

    public bool IsObject => Schema.ValueKind == JsonValueKind.Object;

    /// <summary>The keywords; none where this is no object.</summary>
    public IReadOnlyDictionary<string, JsonElement> Keywords
    {
        get
        {
            if (_keywords is null)
            {
                _keywords = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
                foreach (JsonProperty keyword in IsObject ? Schema.EnumerateObject() : default)
                {
                    _budget.Work(20);
                    _keywords[keyword.Name] = keyword.Value;
                }
            }

            return _keywords;
        }
    }

    /// <summary>What stands under a keyword that is there.</summary>
    public SchemaNode this[string keyword] => Child(keyword, Keywords[keyword]);

    /// <param name="budget">What reading it may cost.</param>
    public static SchemaNode Root(JsonElement schema, GrammarBudget budget) => new(schema, null, "#", budget);

    /// <summary>A schema that the document implies at a place of it.</summary>
    public SchemaNode Implied(string step, object schema) => new(JsonSerializer.SerializeToElement(schema), this, step, _budget);

    public bool Has(string keyword) => Keywords.ContainsKey(keyword);

    /// <summary>Whether a keyword stands here with this kind of value.</summary>
    public bool Is(string keyword, JsonValueKind kind) => Keywords.TryGetValue(keyword, out JsonElement value) && value.ValueKind == kind;

    /// <summary>The place that a step of a JSON pointer leads to; null: nowhere.</summary>
    public SchemaNode? Step(string name) => Schema.ValueKind switch
    {
        JsonValueKind.Object when Keywords.TryGetValue(name, out JsonElement value) => Child(name, value),
        JsonValueKind.Array when int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int index)
            && index < Schema.GetArrayLength() => Child(name, Schema[index]),
        _ => null,
    };

    /// <summary>Schemas in an array or object under a keyword, with their names; none where the keyword is not there.</summary>
    public IReadOnlyList<(string Name, SchemaNode Node)> Under(string keyword)
    {
        _lists ??= new(StringComparer.Ordinal);
        if (!_lists.TryGetValue(keyword, out IReadOnlyList<(string Name, SchemaNode Node)>? list))
        {
            SchemaNode? holder = Has(keyword) ? this[keyword] : null;
            list = holder?.Schema.ValueKind switch
            {
                null => [],
                JsonValueKind.Object => [.. holder.Keywords.Select(entry => (entry.Key, holder.Child(entry.Key, entry.Value)))],
                JsonValueKind.Array => [.. holder.Schema.EnumerateArray()
                    .Select((schema, i) => (i.ToString(CultureInfo.InvariantCulture), holder.Child($"{i}", schema)))],
                _ => throw holder.Broken("an array or object of schemas"),
            };
            _lists.Add(keyword, list);
        }

        return list;
    }

    /// <summary>What is said of a property; null: nothing.</summary>
    public SchemaNode? Property(string name) =>
        Has("properties") && this["properties"] is var properties && properties.Has(name) ? properties[name] : null;

    /// <summary>A count under a keyword.</summary>
    public int Count(string keyword)
    {
        SchemaNode node = this[keyword];
        if (node.Schema.ValueKind != JsonValueKind.Number
            || JsonNumber.Of(node.Schema) is not { IsInteger: true, Negative: false } value)
        {
            throw node.Broken("a whole number that is 0 or more");
        }

        return value.Magnitude > 10 ? int.MaxValue : (int)System.Numerics.BigInteger.Min(value.Whole, int.MaxValue);
    }

    public string Text(string keyword)
    {
        SchemaNode node = this[keyword];
        return node.Schema.ValueKind == JsonValueKind.String ? node.Schema.GetString()! : throw node.Broken("a string");
    }

    /// <summary>The bound under a keyword.</summary>
    public JsonNumber Number(string keyword)
    {
        SchemaNode node = this[keyword];
        return node.Schema.ValueKind == JsonValueKind.Number ? JsonNumber.Of(node.Schema) : throw node.Broken("a number");
    }

    /// <summary>Names in an array of them; none where the keyword is not there.</summary>
    public IEnumerable<string> Names(string keyword)
    {
        if (!Has(keyword))
        {
            return [];
        }

        SchemaNode node = this[keyword];
        return node.Schema.ValueKind == JsonValueKind.Array
            && node.Schema.EnumerateArray().All(name => name.ValueKind == JsonValueKind.String)
            ? node.Schema.EnumerateArray().Select(name => name.GetString()!) : throw node.Broken("an array of strings");
    }

    public GrammarException Broken(string expected) => new(Path, $"{expected} is expected, not {Shown()}.");

    private SchemaNode Child(string step, JsonElement value)
    {
        _children ??= new(StringComparer.Ordinal);
        if (!_children.TryGetValue(step, out SchemaNode? child))
        {
            _children.Add(step, child = new SchemaNode(value, this, step, _budget));
        }

        return child;
    }

    private string Shown()
    {
        string text = Schema.GetRawText();
        return text.Length <= 60 ? text : text[..60] + "…";
    }

    private static string Escape(string name) =>
        name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
}
