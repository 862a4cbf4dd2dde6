using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Understory.Server.Wire;

/// <summary>What is sent as JSON: a record that knows the serializer's contract of its API.</summary>
public interface IJsonBody
{
    JsonSerializerContext Json { get; }
}

/// <summary>
/// How records become JSON: snake_case, absent where null, and text as readable UTF-8. (The relaxed encoder is safe here: every answer is
/// declared JSON or an event stream, never HTML.)
/// </summary>
public static class Json
{
    /// <summary>What every API's context shares.</summary>
    public static JsonSerializerOptions Style { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new ReadableText() },
    };

    private static readonly JsonWriterOptions Writing =
        new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>Writes <paramref name="body"/> without a line break.</summary>
    public static void Write(IBufferWriter<byte> output, IJsonBody body)
    {
        using var writer = new Utf8JsonWriter(output, Writing);
        JsonSerializer.Serialize(writer, body, body.GetType(), body.Json);
    }
}

/// <summary>Of <see cref="ApiErrorBody"/>, which every API may answer with.</summary>
[JsonSerializable(typeof(ApiErrorBody))]
public sealed partial class ErrorJson : JsonSerializerContext
{
    public static ErrorJson Context { get; } = new(new JsonSerializerOptions(Json.Style));
}
