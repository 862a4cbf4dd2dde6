using System.Text.Json;
using System.Text.Unicode;

namespace Understory.Server.Wire;

/// <summary>
/// The fields of a request's JSON object, read by name. An absent field and <c>null</c> are the same. <see cref="Check"/> holds them to a
/// table once; what is read afterwards is of the type that the table says.
/// </summary>
/// <param name="asked">Takes down every name that is asked for: by it, tests compare the readers with the tables.</param>
public readonly struct Fields(JsonElement root, ISet<string>? asked = null)
{
    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>What <paramref name="read"/> makes of a body.</summary>
    /// <exception cref="ApiException">400: the body is not a JSON object of Unicode text, or <paramref name="read"/> refuses
    /// it.</exception>
    public static T Read<T>(ReadOnlyMemory<byte> body, Func<Fields, T> read)
    {
        using JsonDocument document = Parse(body);
        // Checked once, as a whole: what is kept unread would else break where it is written again.
        if ((!Utf8.IsValid(body.Span) || body.Span.IndexOf("\\ud"u8) >= 0 || body.Span.IndexOf("\\uD"u8) >= 0)
            && BrokenText(document.RootElement) is { } fault)
        {
            throw fault.Where.Length == 0 ? new ApiException(400, "The body is not valid Unicode text.") : fault.Error;
        }

        return read(new Fields(document.RootElement));
    }

    /// <summary>Holds the fields to a table.</summary>
    /// <exception cref="ApiException">400, naming the field.</exception>
    public void Check(IReadOnlyList<Parameter> table)
    {
        foreach (Parameter parameter in table)
        {
            if (parameter.Check(root) is { } fault)
            {
                throw fault.Error;
            }
        }
    }

    public bool TryGet(string name, out JsonElement value)
    {
        asked?.Add(name);
        value = default;
        return root.ValueKind == JsonValueKind.Object && root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
    }

    public bool Has(string name) => TryGet(name, out _);

    public string? Text(string name) => TryGet(name, out JsonElement value) ? value.GetString() : null;

    public bool? Flag(string name) => TryGet(name, out JsonElement value) ? value.GetBoolean() : null;

    public float? Number(string name) => TryGet(name, out JsonElement value) ? (float)value.GetDouble() : null;

    public int? Integer(string name) => TryGet(name, out JsonElement value) ? Integer(value) : null;

    /// <summary>An object's fields; of an absent one, none.</summary>
    public Fields Object(string name) => TryGet(name, out JsonElement value) ? new(value) : default;

    /// <summary>The items of an array; of an absent one, none.</summary>
    public IEnumerable<JsonElement> List(string name) => TryGet(name, out JsonElement value) ? value.EnumerateArray() : [];

    /// <summary>A whole number, however it is spelled.</summary>
    public static int Integer(JsonElement value) => WholeNumber.TryRead(value, out Int128 number)
        ? (int)number
        : throw new InvalidOperationException("A number that no table has checked.");

    /// <summary>The error for a field whose value no table can judge.</summary>
    public static ApiException Wrong(string name, JsonElement value, string expected) => Fault.Wrong(expected, value).In(name).Error;

    private static JsonDocument Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            // A byte order mark is no JSON, yet some tools write one.
            JsonDocument document = JsonDocument.Parse(body.Span.StartsWith(ByteOrderMark) ? body[ByteOrderMark.Length..] : body);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document
                : throw new ApiException(400, $"The body must be a JSON object, not {Fault.Quote(document.RootElement)}.");
        }
        catch (JsonException e)
        {
            throw new ApiException(400, body.Length == 0
                ? "The body is empty; send a JSON object."
                : e.Message.Contains("maximum configured depth", StringComparison.Ordinal)
                ? $"The body nests deeper than 64 levels (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}); send a flatter one."
                : $"The body is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}).");
        }
    }

    /// <summary>The first text that is none: bytes that are no UTF-8, or an escaped half of a surrogate pair.</summary>
    private static Fault? BrokenText(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                return IsText(value) ? null : new Fault("", "is not valid Unicode text.");
            case JsonValueKind.Array:
                return value.EnumerateArray().Select((item, i) => BrokenText(item)?.At(i)).FirstOrDefault(fault => fault is not null);
            case JsonValueKind.Object:
                foreach (JsonProperty member in value.EnumerateObject())
                {
                    if (!IsText(member))
                    {
                        return new Fault("", "has a member whose name is not valid Unicode text.");
                    }

                    if (BrokenText(member.Value)?.In(member.Name) is { } fault)
                    {
                        return fault;
                    }
                }

                return null;
            default:
                return null;
        }
    }

    private static bool IsText(object holder)
    {
        try
        {
            _ = holder is JsonProperty member ? member.Name : ((JsonElement)holder).GetString();
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }
}
