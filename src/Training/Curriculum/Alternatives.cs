using System.Text;
using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>Texts with choices in braces: <c>{hello|hi}{|, you}!</c>. Choices do not nest.</summary>
internal static class Alternatives
{
    /// <summary>One choice of each.</summary>
    /// <exception cref="InvalidDataException">A brace is not closed.</exception>
    public static string Choose(string pattern, SeededRandom random)
    {
        var text = new StringBuilder();
        for (int at = 0; at < pattern.Length;)
        {
            int open = pattern.IndexOf('{', at);
            if (open < 0)
            {
                text.Append(pattern, at, pattern.Length - at);
                break;
            }

            int close = pattern.IndexOf('}', open);
            if (close < 0)
            {
                throw new InvalidDataException($"'{pattern}': a brace is not closed");
            }

            text.Append(pattern, at, open - at).Append(random.Of(pattern[(open + 1)..close].Split('|')));
            at = close + 1;
        }

        return text.ToString().TrimEnd();
    }

    /// <summary>How many texts it may become.</summary>
    public static long Count(string pattern) =>
        pattern.Split('{').Skip(1).Aggregate(1L, (count, part) => count * part.Split('}')[0].Split('|').Length);
}
