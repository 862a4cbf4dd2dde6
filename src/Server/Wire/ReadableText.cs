using System.Buffers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Understory.Server.Wire;

/// <summary>
/// Writes strings as readable UTF-8: only quotes, backslashes and control characters are escaped. (The library's most relaxed encoder still
/// writes emoji as two <c>\u</c> escapes.)
/// </summary>
public sealed class ReadableText : JsonConverter<string>
{
    public override string? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.GetString();

    /// <summary>Names cannot be written raw: beyond the basic plane they are escaped.</summary>
    public override void WriteAsPropertyName(Utf8JsonWriter writer, string value, JsonSerializerOptions options) =>
        writer.WritePropertyName(value);

    public override void Write(Utf8JsonWriter writer, string value, JsonSerializerOptions options)
    {
        if (Ascii.IsValid(value))
        {
            writer.WriteStringValue(value);
            return;
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(MostBytes(value));
        writer.WriteRawValue(buffer.AsSpan(0, Quote(value, buffer)), skipInputValidation: true);
        ArrayPool<byte>.Shared.Return(buffer);
    }

    /// <summary>A character takes at most 6 bytes: \u001f.</summary>
    internal static int MostBytes(string value) => (6 * value.Length) + 2;

    /// <summary>Writes <paramref name="value"/> as a JSON string; halves of surrogate pairs become U+FFFD.</summary>
    /// <returns>Bytes written.</returns>
    internal static int Quote(string value, Span<byte> output)
    {
        int length = 0;
        output[length++] = (byte)'"';
        foreach (Rune rune in value.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '"' or '\\':
                    output[length++] = (byte)'\\';
                    output[length++] = (byte)rune.Value;
                    break;
                case '\n':
                    output[length++] = (byte)'\\';
                    output[length++] = (byte)'n';
                    break;
                case < ' ' or 0x7F:
                    length += Encoding.ASCII.GetBytes($"\\u{rune.Value:x4}", output[length..]);
                    break;
                default:
                    length += rune.EncodeToUtf8(output[length..]);
                    break;
            }
        }

        output[length++] = (byte)'"';
        return length;
    }
}
