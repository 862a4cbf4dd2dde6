using System.Text.Json;

namespace Understory.Models.Architecture;

/// <summary>
/// The keys of a JSON object. One that is missing or of the wrong type is an <see cref="InvalidDataException"/> that names it; null is
/// missing.
/// </summary>
internal sealed class JsonKeys
{
    private static readonly JsonElement _nothing = JsonElement.Parse("{}");

    private readonly JsonElement _element;
    private readonly JsonKeys? _beneath;

    /// <param name="beneath">Where a key is looked up that the element does not have.</param>
    private JsonKeys(JsonElement element, JsonKeys beneath)
        : this(element) => _beneath = beneath;

    public JsonKeys(JsonElement element) => _element = element.ValueKind == JsonValueKind.Object
        ? element
        : throw new InvalidDataException("The config is not a JSON object.");

    public static JsonKeys Empty { get; } = new(_nothing);

    /// <summary>These keys, and beneath them a family's defaults, as JSON.</summary>
    public JsonKeys Over(string defaults) =>
        new(_element, _beneath is null ? new JsonKeys(JsonElement.Parse(defaults)) : _beneath.Over(defaults));

    /// <summary>The keys of an object within, and beneath them these.</summary>
    public JsonKeys Within(string key) => new(Required(key), this);

    public bool Has(string key) => Find(key) is not null;

    public string String(string key) => Required(key) is { ValueKind: JsonValueKind.String } value
        ? value.GetString()! : throw Wrong(key, "a string");

    public int Integer(string key) => Whole(Required(key)) ?? throw Wrong(key, "an integer");

    public int Integer(string key, int otherwise) => Has(key) ? Integer(key) : otherwise;

    public double Number(string key) => Required(key) is { ValueKind: JsonValueKind.Number } value && value.TryGetDouble(out double number)
        ? number : throw Wrong(key, "a number");

    public double Number(string key, double otherwise) => Has(key) ? Number(key) : otherwise;

    public bool Flag(string key) => Required(key).ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(key, "true or false"),
    };

    public bool Flag(string key, bool otherwise) => Has(key) ? Flag(key) : otherwise;

    public JsonKeys? Object(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Object } value => new JsonKeys(value),
        _ => throw Wrong(key, "an object"),
    };

    /// <summary>One integer or an array of them; empty where the key is missing.</summary>
    public int[] Integers(string key) => Find(key) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } array => [.. array.EnumerateArray()
            .Select(item => Whole(item) ?? throw Wrong(key, "integers"))],
        _ => [Integer(key)],
    };

    public double[] Numbers(string key) => Required(key) is { ValueKind: JsonValueKind.Array } array
        ? [.. array.EnumerateArray()
            .Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetDouble(out double value)
                ? value : throw Wrong(key, "numbers"))]
        : throw Wrong(key, "an array of numbers");

    public string[] Strings(string key) => Find(key) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } array => [.. array.EnumerateArray()
            .Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Wrong(key, "strings"))],
        _ => throw Wrong(key, "an array of strings"),
    };

    /// <summary>One size divided by another, without a rest.</summary>
    public int Quotient(string key, string by) => Integer(by) > 0 && Integer(key) % Integer(by) == 0
        ? Integer(key) / Integer(by)
        : throw new InvalidDataException($"\"{key}\" is {Integer(key)}, which is no multiple of \"{by}\", {Integer(by)}.");

    public InvalidDataException Unsupported(string key, string supported) => new($"\"{key}\": {Shown(key)} is not supported; {supported}.");

    /// <summary>An integer, also where it is written as 20.0.</summary>
    private static int? Whole(JsonElement value) => value.ValueKind != JsonValueKind.Number ? null
        : value.TryGetInt32(out int integer) ? integer
        : value.TryGetDouble(out double number) && number == Math.Floor(number) && Math.Abs(number) <= int.MaxValue ? (int)number
        : null;

    private JsonElement? Find(string key) =>
        _element.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : _beneath?.Find(key);

    private JsonElement Required(string key) => Find(key) ?? throw new InvalidDataException($"The key \"{key}\" is missing.");

    private InvalidDataException Wrong(string key, string expected) => new($"\"{key}\" should be {expected} and is {Shown(key)}.");

    /// <summary>The beginning of a value as it stands in the file, on one line; a text without its quotes.</summary>
    private string Shown(string key)
    {
        const int Longest = 80;
        string raw = Find(key)?.GetRawText().ReplaceLineEndings(" ") ?? "missing";
        string plain = raw.Length > 1 && raw[0] == '"' && !raw.Contains('\\') ? raw[1..^1] : raw;
        return plain.Length <= Longest ? plain : plain[..Longest] + "…";
    }
}
