using Understory.Models.Tokenizers;

namespace Understory.Training.Tokens;

/// <summary>A byte-level vocabulary with its merges. Ids: special tokens, the 256 bytes, then what each merge gives.</summary>
/// <param name="Specials">Texts of tokens that are never cut.</param>
/// <param name="Merges">Ids of left and right, in the order in which they were learned.</param>
internal sealed record ByteLevelBpe(IReadOnlyList<string> Specials, IReadOnlyList<(int Left, int Right)> Merges)
{
    private IReadOnlyList<string>? _tokens;

    public int Size => Specials.Count + 256 + Merges.Count;

    /// <summary>By id, in the alphabet of <see cref="ByteAlphabet"/>.</summary>
    public IReadOnlyList<string> Tokens => _tokens ??= Spell();

    private List<string> Spell()
    {
        List<string> tokens = [.. Specials];
        for (int value = 0; value < 256; value++)
        {
            tokens.Add(ByteAlphabet.Char((byte)value).ToString());
        }

        foreach ((int left, int right) in Merges)
        {
            tokens.Add(tokens[left] + tokens[right]);
        }

        return tokens;
    }
}
