using Understory.Server.Wire;

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
        fields.Check(RequestParameters.Embeddings);
        int? dimensions = fields.Integer("dimensions");
        return dimensions is null || dimensions <= size
            ? new EmbeddingRequest(fields.Text("model"), CompletionRequest.ReadPrompts(fields, "input", vocabulary)!,
                fields.Text("encoding_format") == "base64", dimensions)
            : throw ApiException.Invalid("dimensions",
                $"dimensions must be a whole number from 1 to {size}, which is what this model has, not {dimensions}.");
    }
}
