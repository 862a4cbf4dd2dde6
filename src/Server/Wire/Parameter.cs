using System.Text.Json;
using System.Text.Json.Nodes;

namespace Understory.Server.Wire;

/// <summary>What becomes of a field that a client sends.</summary>
public enum Standing
{
    /// <summary>It does what its documentation says; a wrong type or value is refused by name.</summary>
    Honoured,

    /// <summary>Looked at by nobody, whatever it holds: the answer would be the same.</summary>
    Ignored,

    /// <summary>It would change the answer and is not supported: refused by name, since silence would be a lie.</summary>
    Refused,
}

/// <summary>One field of a request's JSON object: what it may hold and what becomes of it. Null always counts as absent.</summary>
/// <param name="Shape">Of <see cref="Standing.Refused"/>: the values that ask for nothing, and so are let through.</param>
/// <param name="Meaning">One sentence for the document.</param>
public sealed record Parameter(string Name, Standing Standing, Shape Shape, string Meaning)
{
    public bool Required { get; init; }

    /// <summary>Of a refused one: what to do instead, behind "NAME …".</summary>
    public string Remedy { get; init; } = "is not supported by this server; leave it out.";

    /// <summary>See <see cref="Fault.DetailCode"/>.</summary>
    public string? DetailCode { get; init; }

    public static Parameter Honoured(string name, Shape shape, string meaning = "", bool required = false) =>
        new(name, Standing.Honoured, shape, meaning) { Required = required };

    public static Parameter Ignored(string name, string meaning = "") => new(name, Standing.Ignored, Shape.Anything, meaning);

    /// <param name="neutral">What it may hold, since that asks for nothing.</param>
    public static Parameter Refused(string name, Shape neutral, string? remedy = null)
    {
        var parameter = new Parameter(name, Standing.Refused, neutral, "");
        return remedy is null ? parameter : parameter with { Remedy = remedy };
    }

    /// <summary>What is wrong with the field in this object; null: nothing.</summary>
    public Fault? Check(JsonElement holder)
    {
        if (!holder.TryGetProperty(Name, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return Required ? Fault.Missing(Shape.Words).In(Name) : null;
        }

        if (Shape.Check(value) is not { } fault)
        {
            return null;
        }

        return (Standing == Standing.Refused ? new Fault("", Remedy, Fault.Unsupported) { DetailCode = DetailCode } : fault).In(Name);
    }

    /// <summary>The field's schema with its description.</summary>
    public JsonObject Schema()
    {
        JsonObject schema = Required ? Shape.Schema() : Shape.SchemaOrNull();
        string description = Standing switch
        {
            Standing.Ignored => $"Accepted and ignored. {Meaning}".TrimEnd(),
            Standing.Refused => $"Refused beyond the values shown: it {Remedy}",
            _ => Meaning,
        };
        if (description.Length > 0)
        {
            schema["description"] = description;
        }

        return schema;
    }
}
