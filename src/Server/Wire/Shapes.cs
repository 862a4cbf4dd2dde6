using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Understory.Server.Wire;

// The kinds of Shape, each with its check beside its schema.

internal sealed class AnyShape : Shape
{
    public override Fault? Check(JsonElement value) => null;

    public override JsonObject Schema() => [];
}

internal sealed class NullShape : Shape
{
    /// <summary>Null itself never comes here.</summary>
    public override Fault? Check(JsonElement value) => Fault.Wrong("null", value);

    public override JsonObject Schema() => new() { ["type"] = "null" };
}

/// <param name="only">The one that it may be; null: either.</param>
internal sealed class FlagShape(bool? only = null) : Shape
{
    private readonly string _words = only switch { null => "true or false", true => "true", false => "false" };

    public override Fault? Check(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.True when only is not false => null,
        JsonValueKind.False when only is not true => null,
        _ => Fault.Wrong(_words, value),
    };

    public override JsonObject Schema()
    {
        var schema = new JsonObject { ["type"] = "boolean" };
        if (only is { } value)
        {
            schema["enum"] = new JsonArray(value);
        }

        return schema;
    }
}

/// <param name="pattern">What the whole text must match; null: anything.</param>
internal sealed class TextShape(int shortest, string? pattern) : Shape
{
    private readonly Regex? _pattern = pattern is null ? null : new Regex(pattern.Replace("$", "\\z", StringComparison.Ordinal));

    public override Fault? Check(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && (shortest == 0 || value.GetString()!.Length >= shortest)
            && _pattern?.IsMatch(value.GetString()!) != false
            ? null
            : Fault.Wrong(Words, value);

    public override JsonObject Schema()
    {
        var schema = new JsonObject { ["type"] = "string" };
        if (shortest > 0)
        {
            schema["minLength"] = shortest;
        }

        if (pattern is not null)
        {
            schema["pattern"] = pattern;
        }

        return schema;
    }
}

internal sealed class EnumShape(IReadOnlyList<string> values) : Shape
{
    public override Fault? Check(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && values.Contains(value.GetString()) ? null : Fault.Wrong(Words, value);

    public override JsonObject Schema() =>
        new() { ["type"] = "string", ["enum"] = new JsonArray([.. values.Select(value => (JsonNode)value)]) };
}

internal sealed class NumberShape(double least, double most) : Shape
{
    public override Fault? Check(JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= least && number <= most
            ? null
            : Fault.Wrong(Words, value);

    public override JsonObject Schema() => new() { ["type"] = "number", ["minimum"] = least, ["maximum"] = most };
}

internal sealed class IntegerShape(long least, Int128 most) : Shape
{
    public override Fault? Check(JsonElement value) =>
        WholeNumber.TryRead(value, out Int128 number) && number >= least && number <= most ? null : Fault.Wrong(Words, value);

    public override JsonObject Schema() => new() { ["type"] = "integer", ["minimum"] = least, ["maximum"] = (decimal)most };
}

internal sealed class ListShape(Shape item, int fewest, int? most) : Shape
{
    public override Fault? Check(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() < fewest || value.GetArrayLength() > most)
        {
            return Fault.Wrong(Words, value);
        }

        int index = 0;
        foreach (JsonElement element in value.EnumerateArray())
        {
            if ((element.ValueKind == JsonValueKind.Null && item is not AnyShape ? Fault.Wrong(item.Words, element) : item.Check(element))
                is { } fault)
            {
                return fault.At(index);
            }

            index++;
        }

        return null;
    }

    public override JsonObject Schema()
    {
        var schema = new JsonObject { ["type"] = "array", ["items"] = item.Schema() };
        if (fewest > 0)
        {
            schema["minItems"] = fewest;
        }

        if (most is not null)
        {
            schema["maxItems"] = most;
        }

        return schema;
    }
}

internal sealed class MapShape(string names, Shape item) : Shape
{
    private readonly Regex _names = new(names.Replace("$", "\\z", StringComparison.Ordinal));

    public override Fault? Check(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            return Fault.Wrong(Words, value);
        }

        foreach (JsonProperty member in value.EnumerateObject())
        {
            if (!_names.IsMatch(member.Name))
            {
                return new Fault("", $"must be {Words}; it has a member \"{member.Name}\".");
            }

            if ((member.Value.ValueKind == JsonValueKind.Null ? Fault.Wrong(item.Words, member.Value) : item.Check(member.Value))
                is { } fault)
            {
                return fault.In(member.Name);
            }
        }

        return null;
    }

    public override JsonObject Schema()
    {
        var schema = new JsonObject { ["type"] = "object", ["additionalProperties"] = item.Schema() };
        if (names.Length > 0)
        {
            schema["propertyNames"] = new JsonObject { ["pattern"] = names };
        }

        return schema;
    }
}

/// <summary>One of several. The error is that of the shape that the value comes nearest to.</summary>
internal sealed class EitherShape(IReadOnlyList<Shape> shapes) : Shape
{
    public override Fault? Check(JsonElement value)
    {
        Fault? nearest = null;
        foreach (Shape shape in shapes)
        {
            if (shape.Check(value) is not { } fault)
            {
                return null;
            }

            nearest = fault.Where.Length > (nearest?.Where.Length ?? 0) ? fault : nearest;
        }

        return nearest ?? Fault.Wrong(Words, value);
    }

    public override JsonObject Schema() => new() { ["anyOf"] = new JsonArray([.. shapes.Select(shape => (JsonNode)shape.Schema())]) };
}

internal sealed class ObjectShape(IReadOnlyList<Parameter> members) : Shape
{
    public override Fault? Check(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            return Fault.Wrong(Words, value);
        }

        foreach (Parameter member in members)
        {
            if (member.Check(value) is { } fault)
            {
                return fault;
            }
        }

        return null;
    }

    public override JsonObject Schema()
    {
        var schema = new JsonObject { ["type"] = "object" };
        var properties = new JsonObject();
        foreach (Parameter member in members)
        {
            properties[member.Name] = member.Schema();
        }

        if (members.Count > 0)
        {
            schema["properties"] = properties;
        }

        string[] required = [.. members.Where(member => member.Required).Select(member => member.Name)];
        if (required.Length > 0)
        {
            schema["required"] = new JsonArray([.. required.Select(name => (JsonNode)name)]);
        }

        return schema;
    }
}

internal sealed class TaggedShape(string tag, string? silent, IReadOnlyList<(string[] Tags, Parameter[] Members)> cases) : Shape
{
    private readonly string _tags = Joined([.. cases.SelectMany(one => one.Tags).Select(name => $"\"{name}\"")]);
    private readonly Dictionary<string, ObjectShape> _shapes =
        cases.SelectMany(one => one.Tags.Select(name => (name, new ObjectShape(one.Members)))).ToDictionary();

    public override Fault? Check(JsonElement value)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            return Fault.Wrong(Words, value);
        }

        bool said = value.TryGetProperty(tag, out JsonElement kind) && kind.ValueKind != JsonValueKind.Null;
        if (!said && silent is null)
        {
            return Fault.Missing(_tags).In(tag);
        }

        string? name = !said ? silent : kind.ValueKind == JsonValueKind.String ? kind.GetString() : null;
        return name is not null && _shapes.TryGetValue(name, out ObjectShape? shape)
            ? shape.Check(value)
            : Fault.Wrong(_tags, kind).In(tag);
    }

    public override JsonObject Schema() => new() { ["anyOf"] = new JsonArray([.. cases.Select(Case)]) };

    private JsonNode Case((string[] Tags, Parameter[] Members) one) =>
        new ObjectShape([Parameter.Honoured(tag, OneOf(one.Tags), required: !one.Tags.Contains(silent)), .. one.Members]).Schema();
}
