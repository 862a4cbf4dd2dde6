using Understory.Models.Architecture.Families;
using Understory.Models.Formats;
using Understory.Models.Tokenizers;

namespace Understory.Models.Architecture;

/// <summary>The model that a GGUF file describes, by the family whose architecture it names.</summary>
public static class GgufConfig
{
    /// <exception cref="InvalidDataException">A key is missing, of the wrong type or of a value that is not supported; names
    /// it.</exception>
    public static ModelConfig Read(Gguf file)
    {
        var keys = new GgufKeys(file);
        Family family = Family.All.FirstOrDefault(family => family.GgufName == keys.Architecture) ?? throw new InvalidDataException(
            $"{keys.Path}: models of architecture \"{FileText.Shown(keys.Architecture)}\" are not supported; "
            + $"{string.Join(", ", Family.All.Select(family => family.GgufName).OfType<string>())} are.");
        keys.RequireUnset("attention.clamp_kqv");
        var vocabulary = GgufVocabulary.Read(file.Metadata);
        return (family.Read(keys) with { EosTokenIds = vocabulary.EndIds, BosTokenId = vocabulary.BosId }).Validated();
    }
}
