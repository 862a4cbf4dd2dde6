using Understory.Models.Architecture;

namespace Understory.Training.Drafting;

/// <summary>The user's own texts as pieces of equal length, one document behind the other.</summary>
internal static class UserTexts
{
    private const int HeldOutEvery = 16;

    /// <summary>A folder's files, or the file.</summary>
    /// <exception cref="TrainingException">There is no such file.</exception>
    public static IReadOnlyList<string> Files(IEnumerable<string> said) => [.. said.SelectMany(path =>
        Directory.Exists(path) ? Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
        : File.Exists(path) ? (IEnumerable<string>)[path]
        : throw new TrainingException($"--texts: there is no '{path}'."))];

    /// <summary>Pieces of <c>length + 1</c> tokens; a piece's last token is the next one's first.</summary>
    public static List<int[]> Pieces(IReadOnlyList<string> files, LanguageModel model, int length)
    {
        var pieces = new List<int[]>();
        var tokens = new List<int>();
        int? end = model.Tokenizer.EosId ?? model.Config.EosTokenIds.Cast<int?>().FirstOrDefault();
        foreach (string file in files)
        {
            tokens.AddRange(model.Tokenizer.Encode(File.ReadAllText(file)));
            if (end is { } token)
            {
                tokens.Add(token);
            }

            int at = 0;
            for (; at + length < tokens.Count; at += length)
            {
                pieces.Add([.. tokens.Skip(at).Take(length + 1)]);
            }

            tokens.RemoveRange(0, at);
        }

        return pieces;
    }

    /// <summary>A sixteenth of the pieces is never trained on; the last one of a few.</summary>
    public static (List<int[]> Training, List<int[]> HeldOut) Parted(List<int[]> pieces)
    {
        bool Held(int index) => pieces.Count >= HeldOutEvery
            ? index % HeldOutEvery == HeldOutEvery / 2 : index > 0 && index == pieces.Count - 1;
        return ([.. pieces.Where((_, index) => !Held(index))], [.. pieces.Where((_, index) => Held(index))]);
    }
}
