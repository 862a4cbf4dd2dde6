using System.Diagnostics.CodeAnalysis;
using System.Text.Json;

namespace Understory.Server.OpenAi;

/// <summary>
/// The fields of a request's JSON object, read by name and type. An absent field and <c>null</c> are the same; fields that nobody asks
/// for are ignored; a field of the wrong type is refused with its name, what it held and what it may hold.
/// </summary>
/// <param name="asked">Takes down every name that is asked for: by it, tests compare the readers with the tables that describe
/// them.</param>
public readonly struct Fields(JsonElement root, ISet<string>? asked = null)
{
    private const int LongestQuote = 60;

    private static ReadOnlySpan<byte> ByteOrderMark => [0xEF, 0xBB, 0xBF];

    /// <summary>What <paramref name="read"/> makes of a body.</summary>
    /// <exception cref="ApiException">400: the body is not a JSON object, or <paramref name="read"/> refuses it.</exception>
    public static T Read<T>(ReadOnlyMemory<byte> body, Func<Fields, T> read)
    {
        using JsonDocument document = Parse(body);
        try
        {
            return read(new Fields(document.RootElement));
        }
        catch (InvalidOperationException)
        {
            // Bytes that are no UTF-8, or an escaped half of a surrogate pair, in a place that is not read as a field's text.
            throw new ApiException(400, "The body is not valid Unicode text.");
        }
    }

    private static JsonDocument Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            // A byte order mark is no JSON, yet some tools write one.
            JsonDocument document = JsonDocument.Parse(body.Span.StartsWith(ByteOrderMark) ? body[ByteOrderMark.Length..] : body);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? document
                : throw new ApiException(400, $"The body must be a JSON object, not {Quote(document.RootElement)}.");
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

    public bool TryGet(string name, out JsonElement value)
    {
        asked?.Add(name);
        return root.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;
    }

    public string? Text(string name) =>
        TryGet(name, out JsonElement value) ? Text(value, name, "a string") : null;

    public bool? Flag(string name) => !TryGet(name, out JsonElement value) ? null : value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Wrong(name, value, "true or false"),
    };

    /// <param name="remedy">What the field may hold, as it stands in the error.</param>
    public float? Number(string name, double minimum, double maximum, string remedy)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= minimum && number <= maximum
            ? (float)number
            : throw Wrong(name, value, remedy);
    }

    /// <param name="remedy">What the field may hold, as it stands in the error.</param>
    public int? Integer(string name, int minimum, int maximum, string remedy)
    {
        if (!TryGet(name, out JsonElement value))
        {
            return null;
        }

        return TryInteger(value, out long number) && number >= minimum && number <= maximum
            ? (int)number
            : throw Wrong(name, value, remedy);
    }

    /// <summary>A whole number, also where it is written as 16.0.</summary>
    public static bool TryInteger(JsonElement value, out long number)
    {
        number = 0;
        if (value.ValueKind != JsonValueKind.Number)
        {
            return false;
        }

        if (value.TryGetInt64(out number))
        {
            return true;
        }

        if (value.TryGetDouble(out double real) && real == Math.Floor(real) && Math.Abs(real) < 1L << 53)
        {
            number = (long)real;
            return true;
        }

        return false;
    }

    public static string Text(JsonElement value, string name, string expected)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            throw Wrong(name, value, expected);
        }

        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // An escaped half of a surrogate pair, or bytes that are no UTF-8.
            throw ApiException.Invalid(name, $"{name} is not valid Unicode text.");
        }
    }

    /// <summary>The error for a field of the wrong type or value.</summary>
    [SuppressMessage("Design", "CA1024", Justification = "It makes an exception.")]
    public static ApiException Wrong(string name, JsonElement value, string expected) =>
        ApiException.Invalid(name, $"{name} must be {expected}, not {Quote(value)}.");

    /// <summary>The value as it stood in the request, cut to a readable length; long texts are not repeated.</summary>
    public static string Quote(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Array:
                return $"an array of {value.GetArrayLength()}";
            case JsonValueKind.Object:
                return "an object";
            default:
                string raw = value.GetRawText();
                return raw.Length <= LongestQuote ? raw : string.Concat(raw.AsSpan(0, LongestQuote), "…");
        }
    }
}
