using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Server.OpenAi.Responses;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>A body that <see cref="Json"/> does not know of: it says what does.</summary>
public interface IJsonBody
{
    JsonSerializerContext Json { get; }
}

/// <summary>
/// How records become JSON: snake_case, absent where null, and text as readable UTF-8. (The relaxed encoder is safe here: every answer is
/// declared JSON or an event stream, never HTML.)
/// </summary>
[JsonSerializable(typeof(ApiErrorBody))]
[JsonSerializable(typeof(CompletionBody))]
[JsonSerializable(typeof(ChatBody))]
[JsonSerializable(typeof(ChatChunk))]
[JsonSerializable(typeof(ResponseBody))]
[JsonSerializable(typeof(ResponseStateEvent))]
[JsonSerializable(typeof(OutputItemEvent))]
[JsonSerializable(typeof(ContentPartEvent))]
[JsonSerializable(typeof(DeltaEvent))]
[JsonSerializable(typeof(TextDoneEvent))]
[JsonSerializable(typeof(ArgumentsDoneEvent))]
[JsonSerializable(typeof(InputDoneEvent))]
[JsonSerializable(typeof(ErrorEvent))]
[JsonSerializable(typeof(InputTokensBody))]
[JsonSerializable(typeof(EmbeddingsBody))]
[JsonSerializable(typeof(PropsBody))]
[JsonSerializable(typeof(SlotsBody))]
[JsonSerializable(typeof(ModelBody))]
[JsonSerializable(typeof(ModelsBody))]
[JsonSerializable(typeof(TokenizeBody))]
[JsonSerializable(typeof(DetokenizeBody))]
[JsonSerializable(typeof(HealthBody))]
public sealed partial class Json : JsonSerializerContext
{
    /// <summary>What every context shares.</summary>
    public static JsonSerializerOptions Style { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new ReadableText() },
    };

    public static Json Context { get; } = new(new JsonSerializerOptions(Style));

    private static readonly JsonWriterOptions Writing =
        new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>Writes <paramref name="body"/> without a line break.</summary>
    public static void Write(IBufferWriter<byte> output, object body)
    {
        using var writer = new Utf8JsonWriter(output, Writing);
        JsonSerializer.Serialize(writer, body, body.GetType(), body is IJsonBody own ? own.Json : Context);
    }
}
