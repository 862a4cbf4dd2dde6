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
    /// <param name="generation">generation_config.json, whose end and suppressed tokens count too; null where there is none.</param>
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
        JsonKeys defaults = generation is { } given ? new JsonKeys(given) : JsonKeys.Empty;
        return (family.Read(keys) with
        {
            EosTokenIds = [.. keys.Integers("eos_token_id").Union(defaults.Integers("eos_token_id"))],
            BosTokenId = keys.Integers("bos_token_id") is [int bos, ..] ? bos : null,
            SuppressedTokens = defaults.Integers("suppress_tokens"),
            SuppressedAtBegin = defaults.Integers("begin_suppress_tokens"),
            // "pard_token" in amd/PARD-*; models of others who train so say "ptd_token_id".
            MaskToken = keys.Integers("pard_token").Concat(keys.Integers("ptd_token_id")).Cast<int?>().FirstOrDefault(),
        }).Validated();
    }
}
