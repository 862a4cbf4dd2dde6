using System.Buffers;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>
/// Writes alternatives per token, whose names are texts, as readable UTF-8: a serializer's own names are escaped beyond the basic plane.
/// </summary>
public sealed class ReadableNames : JsonConverter<IReadOnlyList<IReadOnlyDictionary<string, float>?>>
{
    /// <summary>What it writes.</summary>
    public const string Schema =
        """{"type": "array", "items": {"anyOf": [{"type": "object", "additionalProperties": {"type": "number"}}, {"type": "null"}]}}""";

    public override IReadOnlyList<IReadOnlyDictionary<string, float>?>? Read(ref Utf8JsonReader reader, Type typeToConvert,
        JsonSerializerOptions options) =>
        throw new NotSupportedException("Answers are only written.");

    public override void Write(Utf8JsonWriter writer, IReadOnlyList<IReadOnlyDictionary<string, float>?> value,
        JsonSerializerOptions options)
    {
        var bytes = new ArrayBufferWriter<byte>();
        writer.WriteStartArray();
        foreach (IReadOnlyDictionary<string, float>? names in value)
        {
            if (names is null)
            {
                writer.WriteNullValue();
                continue;
            }

            bytes.ResetWrittenCount();
            Write(bytes, names);
            writer.WriteRawValue(bytes.WrittenSpan, skipInputValidation: true);
        }

        writer.WriteEndArray();
    }

    private static void Write(ArrayBufferWriter<byte> bytes, IReadOnlyDictionary<string, float> names)
    {
        const int LongestNumber = 32;
        byte between = (byte)'{';
        foreach ((string name, float number) in names)
        {
            bytes.Write([between]);
            bytes.Advance(ReadableText.Quote(name, bytes.GetSpan(ReadableText.MostBytes(name))));
            bytes.Write(":"u8);
            number.TryFormat(bytes.GetSpan(LongestNumber), out int written, provider: CultureInfo.InvariantCulture);
            bytes.Advance(written);
            between = (byte)',';
        }

        bytes.Write(names.Count == 0 ? "{}"u8 : "}"u8);
    }
}
