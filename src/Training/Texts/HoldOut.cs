using System.Text;

namespace Understory.Training.Texts;

/// <summary>
/// Which prompts are kept for the examination. One prompt of sixteen is, by its own text, so that no text to train on can hold it: whoever
/// writes one draws again. The parts of a held-out prompt (function, name, parameters, wording) all occur elsewhere; their combination
/// does not.
/// </summary>
internal static class HoldOut
{
    private const ulong Share = 16;

    public static bool Holds(string prompt) => Hash(prompt) % Share == 0;

    /// <summary>FNV-1a of the text's bytes, folded: the same on every machine.</summary>
    public static ulong Hash(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (byte value in Encoding.UTF8.GetBytes(text))
        {
            hash = (hash ^ value) * 1099511628211;
        }

        // The low bits of FNV-1a see the last letters most; those are often the same.
        return hash ^ (hash >> 32);
    }
}
