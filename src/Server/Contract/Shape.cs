using System.Text.Json.Nodes;

namespace Understory.Server.Contract;

/// <summary>What a value may be, as a JSON Schema (draft 2020-12, the one of OpenAPI 3.1). Immutable.</summary>
public sealed class Shape
{
    private readonly JsonObject _schema;

    private Shape(JsonObject schema) => _schema = schema;

    public static Shape Anything { get; } = new([]);

    public static Shape Null { get; } = new(new() { ["type"] = "null" });

    public static Shape Flag { get; } = new(new() { ["type"] = "boolean" });

    /// <summary>An object whose members nobody here looks at.</summary>
    public static Shape FreeObject { get; } = new(new() { ["type"] = "object" });

    public static Shape Text(int shortest = 0)
    {
        var schema = new JsonObject { ["type"] = "string" };
        Limit(schema, "minLength", shortest, 0);
        return new(schema);
    }

    /// <summary>One of these strings.</summary>
    public static Shape OneOf(params string[] values) =>
        new(new() { ["type"] = "string", ["enum"] = new JsonArray([.. values.Select(value => (JsonNode)value)]) });

    /// <param name="above">The least value itself is not allowed.</param>
    public static Shape Number(double least, double most, bool above = false) =>
        new(new() { ["type"] = "number", [above ? "exclusiveMinimum" : "minimum"] = least, ["maximum"] = most });

    public static Shape Integer(long? least = null, long? most = null)
    {
        var schema = new JsonObject { ["type"] = "integer" };
        Limit(schema, "minimum", least, null);
        Limit(schema, "maximum", most, null);
        return new(schema);
    }

    public static Shape List(Shape item, int fewest = 0, int? most = null)
    {
        var schema = new JsonObject { ["type"] = "array", ["items"] = item.Schema() };
        Limit(schema, "minItems", fewest, 0);
        Limit(schema, "maxItems", most, null);
        return new(schema);
    }

    /// <summary>An object of any names that match <paramref name="names"/>, with values of one shape.</summary>
    public static Shape Map(string names, Shape value) => new(new()
    {
        ["type"] = "object",
        ["propertyNames"] = new JsonObject { ["pattern"] = names },
        ["additionalProperties"] = value.Schema(),
    });

    public static Shape Either(params Shape[] shapes) =>
        new(new() { ["anyOf"] = new JsonArray([.. shapes.Select(shape => (JsonNode)shape.Schema())]) });

    /// <summary>An object with these members; others are ignored.</summary>
    public static Shape Object(params IReadOnlyList<Parameter> members)
    {
        var properties = new JsonObject();
        foreach (Parameter member in members)
        {
            properties[member.Name] = member.Schema();
        }

        var schema = new JsonObject { ["type"] = "object", ["properties"] = properties };
        string[] required = [.. members.Where(member => member.Required).Select(member => member.Name)];
        if (required.Length > 0)
        {
            schema["required"] = new JsonArray([.. required.Select(name => (JsonNode)name)]);
        }

        return new(schema);
    }

    /// <summary>A schema written out; it is copied.</summary>
    public static Shape Of(JsonObject schema) => new((JsonObject)schema.DeepClone());

    /// <summary>This, or null: which is the same as leaving the field out.</summary>
    public Shape OrNull()
    {
        if (_schema.Count == 0)
        {
            return this;
        }

        JsonObject schema = Schema();
        if (schema["anyOf"] is JsonArray choices)
        {
            choices.Add(Null.Schema());
            return new(schema);
        }

        if (schema["type"] is not JsonValue type || (string)type! == "null")
        {
            return this;
        }

        schema["type"] = new JsonArray((string)type!, "null");
        if (schema["enum"] is JsonArray values)
        {
            values.Add(null);
        }

        return new(schema);
    }

    /// <summary>A copy of the schema.</summary>
    public JsonObject Schema() => (JsonObject)_schema.DeepClone();

    private static void Limit(JsonObject schema, string name, long? value, long? silent)
    {
        if (value != silent)
        {
            schema[name] = value;
        }
    }
}
