using System.Text.Json;

namespace Understory.Server.OpenAi;

/// <summary>The body of <c>POST /v1/embeddings</c>, checked.</summary>
/// <param name="Base64">Vectors are written as little-endian single-precision numbers in base64.</param>
/// <param name="Dimensions">Leading dimensions that are kept and scaled to length 1 again; null: all.</param>
public sealed record EmbeddingRequest(string? Model, IReadOnlyList<Prompt> Inputs, bool Base64, int? Dimensions)
{
    internal const int MostInputs = 2048;

    /// <param name="size">Dimensions that the model has.</param>
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static EmbeddingRequest Read(Fields fields, int vocabulary, int size)
    {
        const string Input = "input";
        RequestParameters.Refuse(fields, RequestParameters.Embeddings);
        var request = new EmbeddingRequest(
            fields.Text("model"),
            CompletionRequest.ReadPrompts(fields, Input, MostInputs, vocabulary)
                ?? throw ApiException.Invalid(Input, "input is missing; send a text or an array of texts."),
            ReadBase64(fields),
            fields.Integer("dimensions", 1, size, $"a whole number from 1 to {size}, which is what this model has"));
        return request.Inputs.All(input => input.Text is not "" && input.Tokens is not [])
            ? request
            : throw ApiException.Invalid(Input, "input holds an empty text; leave it out, or send some text.");
    }

    private static bool ReadBase64(Fields fields)
    {
        const string Expected = "\"float\" or \"base64\"";
        return fields.TryGet("encoding_format", out JsonElement value) && Fields.Text(value, "encoding_format", Expected) switch
        {
            "float" => false,
            "base64" => true,
            _ => throw Fields.Wrong("encoding_format", value, Expected),
        };
    }
}
