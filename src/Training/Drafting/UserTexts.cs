using System.Text;
using Understory.Models.Architecture;

namespace Understory.Training.Drafting;

/// <summary>The user's own texts as pieces of equal length, one document behind the other.</summary>
internal static class UserTexts
{
    private const int HeldOutEvery = 16;

    /// <summary>Names of files that a line tells; the rest by their number.</summary>
    private const int Named = 3;

    private static readonly UTF8Encoding _strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>A folder's files but for hidden ones (.git), or the file.</summary>
    /// <exception cref="TrainingException">There is no such file.</exception>
    public static IReadOnlyList<string> Files(IEnumerable<string> said) => [.. said.SelectMany(path =>
        Directory.Exists(path) ? Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)
            .Where(file => !Path.GetRelativePath(path, file).Split(Path.DirectorySeparatorChar).Any(part => part.StartsWith('.')))
        : File.Exists(path) ? (IEnumerable<string>)[path]
        : throw new TrainingException($"--texts: there is no '{path}'."))];

    /// <summary>Pieces of <c>length + 1</c> tokens; a piece's last token is the next one's first.</summary>
    /// <param name="say">Told what cannot be used.</param>
    public static List<int[]> Pieces(IReadOnlyList<string> files, LanguageModel model, int length, Action<string> say)
    {
        var pieces = new List<int[]>();
        var unread = new List<string>();
        var tokens = new List<int>();
        int? end = model.Tokenizer.EosId ?? model.Config.EosTokenIds.Cast<int?>().FirstOrDefault();
        foreach (string file in files)
        {
            if (Text(file) is not { } text)
            {
                unread.Add(Path.GetFileName(file));
                continue;
            }

            tokens.AddRange(model.Tokenizer.Encode(text));
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

        if (unread.Count > 0)
        {
            say($"Left out, since they are no texts in UTF-8: {string.Join(", ", unread.Take(Named))}"
                + (unread.Count > Named ? $" and {unread.Count - Named} more" : ""));
        }

        if (files.Count > unread.Count && pieces.Count == 0)
        {
            say($"Your texts are {tokens.Count} tokens, less than a sample of {length}: they are not used.");
        }

        return pieces;
    }

    /// <summary>Null: it is no text.</summary>
    private static string? Text(string file)
    {
        try
        {
            string text = File.ReadAllText(file, _strict);
            return text.Contains('\0') ? null : text;
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    /// <summary>A sixteenth of the pieces is never trained on; the last one of a few.</summary>
    public static (List<int[]> Training, List<int[]> HeldOut) Parted(List<int[]> pieces)
    {
        bool Held(int index) => pieces.Count >= HeldOutEvery
            ? index % HeldOutEvery == HeldOutEvery / 2 : index > 0 && index == pieces.Count - 1;
        return ([.. pieces.Where((_, index) => !Held(index))], [.. pieces.Where((_, index) => Held(index))]);
    }
}
