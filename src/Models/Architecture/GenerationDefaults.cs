using System.Text.Json;

namespace Understory.Models.Architecture;

/// <summary>What a model's <c>generation_config.json</c> recommends; null where it says nothing.</summary>
public sealed record GenerationDefaults(
    float? Temperature = null,
    int? TopK = null,
    float? TopP = null,
    float? MinP = null,
    float? RepetitionPenalty = null,
    int? MaxNewTokens = null,
    bool? DoSample = null)
{
    /// <exception cref="InvalidDataException">A key is of the wrong type.</exception>
    public static GenerationDefaults Read(JsonElement generation)
    {
        var keys = new JsonKeys(generation);
        return new GenerationDefaults(
            Number("temperature"),
            keys.Has("top_k") ? keys.Integer("top_k") : null,
            Number("top_p"),
            Number("min_p"),
            Number("repetition_penalty"),
            keys.Has("max_new_tokens") ? keys.Integer("max_new_tokens") : null,
            keys.Has("do_sample") ? keys.Flag("do_sample") : null);

        float? Number(string key) => keys.Has(key) ? (float)keys.Number(key) : null;
    }
}
