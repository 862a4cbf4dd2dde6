namespace Understory.Models.Formats;

/// <summary>Text from a file that nobody vouches for.</summary>
internal static class FileText
{
    private const int Longest = 80;

    /// <summary>The beginning of a name, fit for one line of an error message.</summary>
    public static string Shown(string name)
    {
        string cut = name.Length <= Longest ? name : name[..Longest] + "…";
        return string.Create(cut.Length, cut, static (shown, text) =>
        {
            for (int i = 0; i < text.Length; i++)
            {
                shown[i] = char.IsControl(text[i]) || text[i] is '\u2028' or '\u2029' ? '\uFFFD' : text[i];
            }
        });
    }
}
