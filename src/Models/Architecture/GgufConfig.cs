using Understory.Models.Architecture.Families;
using Understory.Models.Formats;

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
        return (family.Read(keys) with
        {
            EosTokenIds = [.. new[] { keys.Token("eos"), keys.Token("eot") }.OfType<int>().Distinct()],
            BosTokenId = keys.Token("bos"),
        }).Validated();
    }
}
