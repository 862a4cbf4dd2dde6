using System.Text.Json;

namespace Understory.Models.Formats;

/// <summary>Text from a file that nobody vouches for.</summary>
internal static class FileText
{
    private const int Longest = 80;

    /// <summary>The JSON in a file, which may begin with a byte order mark.</summary>
    /// <exception cref="InvalidDataException">It is not JSON.</exception>
    public static JsonElement Json(string path)
    {
        ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
        try
        {
            return JsonElement.Parse(bytes.StartsWith("\uFEFF"u8) ? bytes[3..] : bytes);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{path}: not JSON ({error.Message})", error);
        }
    }

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
