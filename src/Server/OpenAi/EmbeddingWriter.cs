using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Decoding.Sequences;
using Understory.Server.Contract;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>A vector on its way out: as numbers, or in base64.</summary>
public readonly record struct EmbeddingVector(float[] Values, bool Base64);

public sealed record EmbeddingBody(
    string Object,
    int Index,
    [property: JsonConverter(typeof(EmbeddingVectorJson)), WrittenAs(EmbeddingVectorJson.Schema)] EmbeddingVector Embedding);

public sealed record EmbeddingUsage(int PromptTokens, int TotalTokens);

/// <summary>The answer of <c>/v1/embeddings</c>: one vector per input, in their order.</summary>
public sealed record EmbeddingsBody(string Object, IReadOnlyList<EmbeddingBody> Data, string Model, EmbeddingUsage Usage) : OpenAiBody;

/// <summary><c>/v1/embeddings</c>. Nothing of it streams.</summary>
public sealed class EmbeddingWriter(string model, bool base64, int? dimensions) : IAnswerWriter
{
    public IEnumerable<StreamEvent> Opening(int choice, int cachedTokens) => [];

    public IEnumerable<StreamEvent> Chunk(int choice, string text, IReadOnlyList<TokenLogProb> logProbs) => [];

    public IEnumerable<StreamEvent> Closing(ChoiceEnd end, AnswerTotals? totals) => [];

    public IEnumerable<StreamEvent> Ending(AnswerTotals totals) => [];

    public IEnumerable<StreamEvent> Failed(ApiException error) => [new(error.Body)];

    public IJsonBody Whole(IReadOnlyList<ChoiceText> choices, AnswerTotals totals) => new EmbeddingsBody(
        "list",
        [.. choices.Select((choice, i) => new EmbeddingBody("embedding", i, new(Shorten(choice.Embedding!), base64)))],
        model,
        new(totals.Usage.PromptTokens, totals.Usage.PromptTokens));

    private float[] Shorten(float[] vector)
    {
        if (dimensions is not { } kept || kept == vector.Length)
        {
            return vector;
        }

        double length = Math.Sqrt(vector.Take(kept).Sum(value => (double)value * value));
        return [.. vector.Take(kept).Select(value => length > 0 ? (float)(value / length) : 0)];
    }
}

/// <summary>Writes a vector as an array of numbers or as base64 of little-endian F32.</summary>
public sealed class EmbeddingVectorJson : JsonConverter<EmbeddingVector>
{
    /// <summary>What it writes.</summary>
    public const string Schema =
        """{"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string", "contentEncoding": "base64"}]}""";

    public override EmbeddingVector Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        throw new NotSupportedException("Answers are only written.");

    public override void Write(Utf8JsonWriter writer, EmbeddingVector value, JsonSerializerOptions options)
    {
        if (value.Base64)
        {
            writer.WriteBase64StringValue(MemoryMarshal.AsBytes(value.Values.AsSpan()));
            return;
        }

        writer.WriteStartArray();
        foreach (float number in value.Values)
        {
            writer.WriteNumberValue(number);
        }

        writer.WriteEndArray();
    }
}
