using System.Text.Json;
using Understory.Models.Architecture.Families;

namespace Understory.Models.Architecture;

/// <summary>
/// <c>config.json</c> as Hugging Face writes it, read by the family that it names. A key that transformers always writes must be there; a
/// default that transformers itself falls back on stands visibly at the call.
/// </summary>
public static class HuggingFaceConfig
{
    /// <summary>Reads a model's config.</summary>
    /// <param name="config">config.json</param>
    /// <param name="generation">generation_config.json, whose end tokens count too; null where there is none.</param>
    /// <exception cref="InvalidDataException">A key is missing, of the wrong type or of a value that is not supported; names
    /// it.</exception>
    public static ModelConfig Read(JsonElement config, JsonElement? generation = null)
    {
        var keys = new JsonKeys(config);
        // A model that also sees pictures keeps what it is as a language model within.
        keys = keys.Object("text_config") is null ? keys : keys.Within("text_config");
        string type = keys.String("model_type");
        Family family = Family.All.FirstOrDefault(family => family.Types.Contains(type)) ?? throw new InvalidDataException(
            $"Models of type \"{type}\" are not supported; {string.Join(", ", Family.All.Select(family => family.Name))} are.");
        int[] ends = [.. keys.Integers("eos_token_id")
            .Union(generation is { } defaults ? new JsonKeys(defaults).Integers("eos_token_id") : [])];
        return (family.Read(keys) with
        {
            EosTokenIds = ends,
            BosTokenId = keys.Integers("bos_token_id") is [int bos, ..] ? bos : null,
            // "pard_token" in amd/PARD-*; models of others who train so say "ptd_token_id".
            MaskToken = keys.Integers("pard_token").Concat(keys.Integers("ptd_token_id")).Cast<int?>().FirstOrDefault(),
        }).Validated();
    }
}
