using System.Text.Json;
using System.Text.Json.Nodes;

namespace Understory.Server.Contract;

/// <summary>What becomes of a field that a client sends.</summary>
public enum Standing
{
    /// <summary>It does what its documentation says; a wrong type or value is refused by name.</summary>
    Honoured,

    /// <summary>Read by nobody: the answer would be the same.</summary>
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

    /// <summary>Of a refused one: is this value one that asks for nothing?</summary>
    public Func<JsonElement, bool> Neutral { get; init; } = _ => false;

    public static Parameter Honoured(string name, Shape shape, string meaning, bool required = false) =>
        new(name, Standing.Honoured, shape, meaning) { Required = required };

    public static Parameter Ignored(string name, Shape shape, string meaning) => new(name, Standing.Ignored, shape, meaning);

    public static Parameter Refused(string name, Shape neutral, Func<JsonElement, bool> isNeutral, string? remedy = null) =>
        remedy is null
            ? new(name, Standing.Refused, neutral, "") { Neutral = isNeutral }
            : new(name, Standing.Refused, neutral, "") { Neutral = isNeutral, Remedy = remedy };

    /// <summary>The field's schema with its description.</summary>
    public JsonObject Schema()
    {
        JsonObject schema = (Required ? Shape : Shape.OrNull()).Schema();
        string description = Standing switch
        {
            Standing.Ignored => $"Accepted and ignored. {Meaning}",
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
