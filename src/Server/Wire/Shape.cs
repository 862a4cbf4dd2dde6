using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Understory.Server.Wire;

/// <summary>
/// What a value of a request may be: it checks values, words its own error, and writes itself as a JSON Schema (draft 2020-12, the one of
/// OpenAPI 3.1), so that server and document cannot differ. Immutable.
/// </summary>
public abstract class Shape
{
    public static Shape Anything { get; } = new AnyShape();

    public static Shape Null { get; } = new NullShape();

    public static Shape Flag { get; } = new FlagShape();

    /// <summary>An object whose members nobody here looks at.</summary>
    public static Shape FreeObject { get; } = new ObjectShape([]) { Words = "an object" };

    /// <summary>A JSON schema, which what it is for looks at: an object, true, false, or such a text.</summary>
    public static Shape JsonSchema { get; } =
        new EitherShape([FreeObject, Flag, Text()]) { Words = "a JSON schema: an object, true or false" };

    /// <summary>An array without items.</summary>
    public static Shape EmptyList { get; } = List(Anything, most: 0);

    /// <summary>What the value must be, behind "must be".</summary>
    public string Words { get; private set; } = "any value";

    public static Shape Text(int shortest = 0) =>
        new TextShape(shortest, null) { Words = shortest == 0 ? "a string" : "a string that is not empty" };

    /// <summary>Up to <paramref name="longest"/> letters, digits, _ and -: how functions and schemas are called.</summary>
    public static Shape Name(int longest) =>
        new TextShape(0, $"^[a-zA-Z0-9_-]{{1,{longest}}}$") { Words = $"1 to {longest} letters, digits, _ or -" };

    /// <summary>A text that is none of these.</summary>
    public static Shape TextBut(params string[] values) => new TextShape(0, $"^(?!({string.Join('|', values)})$)[\\s\\S]+$")
    {
        Words = $"a string other than {Joined([.. values.Select(value => $"\"{value}\"")])}",
    };

    /// <summary>One of these strings.</summary>
    public static Shape OneOf(params string[] values) =>
        new EnumShape(values) { Words = Joined([.. values.Select(value => $"\"{value}\"")]) };

    /// <summary>This number alone.</summary>
    public static Shape Exactly(double number) => Number(number, number);

    public static Shape True { get; } = new FlagShape(true);

    public static Shape False { get; } = new FlagShape(false);

    public static Shape Number(double least, double most, string? note = null) =>
        new NumberShape(least, most)
        {
            Words = (least == most ? Written(least) : $"a number from {Written(least)} to {Written(most)}") + note,
        };

    public static Shape Integer(long least, long most = int.MaxValue, string? note = null) => new IntegerShape(least, most)
    {
        Words = (most == int.MaxValue ? $"a whole number of at least {least}" : $"a whole number from {least} to {most}") + note,
    };

    /// <summary>Any number of 64 bits, with or without a sign.</summary>
    public static Shape Bits64 { get; } =
        new IntegerShape(long.MinValue, ulong.MaxValue) { Words = "a whole number of at most 64 bits" };

    public static Shape List(Shape item, int fewest = 0, int? most = null, string? words = null) => new ListShape(item, fewest, most)
    {
        Words = words ?? (most is { } limit ? $"an array of {(limit == 0 ? "nothing" : $"up to {limit}")}"
            : fewest == 0 ? "an array" : $"an array of at least {fewest}"),
    };

    /// <summary>An object of any names that match <paramref name="names"/>, with values of one shape.</summary>
    public static Shape Map(string names, Shape value, string words) => new MapShape(names, value) { Words = words };

    public static Shape Either(params Shape[] shapes) => new EitherShape(shapes)
    {
        Words = Joined([.. shapes.Select(shape => shape.Words)]),
    };

    /// <summary>An object with these members; others are ignored.</summary>
    public static Shape Object(params IReadOnlyList<Parameter> members) => Object("an object", members);

    /// <summary>An object with these members; others are ignored.</summary>
    public static Shape Object(string words, IReadOnlyList<Parameter> members) => new ObjectShape(members) { Words = words };

    /// <summary>Objects told apart by a member.</summary>
    /// <param name="tag">That member.</param>
    /// <param name="silent">What it is where it is left out; null: it must be there.</param>
    /// <param name="cases">What it may be, and the other members then.</param>
    public static Shape Tagged(string tag, string words, string? silent, params (string[] Tags, Parameter[] Members)[] cases) =>
        new TaggedShape(tag, silent, cases) { Words = words };

    /// <summary>The same under other words.</summary>
    public Shape Called(string words)
    {
        var copy = (Shape)MemberwiseClone();
        copy.Words = words;
        return copy;
    }

    /// <summary>What is wrong with a value that is not null; null: nothing.</summary>
    public abstract Fault? Check(JsonElement value);

    /// <summary>A new JSON Schema.</summary>
    public abstract JsonObject Schema();

    /// <summary>The schema of this, or of null, which is the same as leaving the field out.</summary>
    public JsonObject SchemaOrNull()
    {
        JsonObject schema = Schema();
        if (schema["anyOf"] is JsonArray choices)
        {
            choices.Add(new JsonObject { ["type"] = "null" });
        }
        else if (schema["type"] is JsonValue type && (string)type! != "null")
        {
            schema["type"] = new JsonArray((string)type!, "null");
            (schema["enum"] as JsonArray)?.Add(null);
        }

        return schema;
    }

    private static string Written(double number) => number.ToString(CultureInfo.InvariantCulture);

    internal static string Joined(IReadOnlyList<string> words) => words.Count switch
    {
        1 => words[0],
        _ => $"{string.Join(", ", words.Take(words.Count - 1))} or {words[^1]}",
    };
}
