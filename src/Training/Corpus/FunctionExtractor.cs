using System.Text;
using Understory.Training.Texts;

namespace Understory.Training.Corpus;

/// <summary>Takes the documented functions and methods out of Python files, each moved to the left margin.</summary>
internal static class FunctionExtractor
{
    /// <summary>Longer ones cannot have 256 tokens.</summary>
    private const int MostCharacters = 1400;

    private const int FewestCharacters = 80;

    /// <summary>Each function of <paramref name="source"/> that has a docstring and something behind it, without its decorators.</summary>
    public static IEnumerable<string> Functions(string source)
    {
        source = source.ReplaceLineEndings("\n");
        if (PythonReader.Lines(source) is not { } lines)
        {
            yield break;
        }

        for (int i = 0; i + 2 < lines.Count; i++)
        {
            PythonLine head = lines[i];
            if (!head.Code.StartsWith("def ", StringComparison.Ordinal) || !head.Code.EndsWith(':') || IsDunder(head.Code)
                || lines[i + 1].Indent <= head.Indent || !IsDocstring(lines[i + 1].Code) || lines[i + 2].Indent <= head.Indent)
            {
                continue;
            }

            int last = i + 1;
            while (last + 1 < lines.Count && lines[last + 1].Indent > head.Indent)
            {
                last++;
            }

            int length = lines[last].End - head.Start;
            if (length is >= FewestCharacters and <= MostCharacters && !source.AsSpan(head.Start, length).Contains('\t')
                && Dedent(source[head.Start..lines[last].End], head.Indent) is string function)
            {
                yield return function;
            }
        }
    }

    private static bool IsDunder(string code) => code.StartsWith("def __", StringComparison.Ordinal);

    private static bool IsDocstring(string code) =>
        code.StartsWith("\"\"\"", StringComparison.Ordinal) || code.StartsWith("'''", StringComparison.Ordinal)
        || code.StartsWith("r\"\"\"", StringComparison.Ordinal);

    /// <summary>Moved left by <paramref name="columns"/>, without empty lines at its end; null where a line has fewer.</summary>
    private static string? Dedent(string function, int columns)
    {
        var text = new StringBuilder(function.Length);
        foreach (string line in function.TrimEnd().Split('\n'))
        {
            ReadOnlySpan<char> kept = line.AsSpan().TrimEnd();
            if (kept.Length > 0 && (kept.Length <= columns || !kept[..columns].IsWhiteSpace()))
            {
                return null;
            }

            text.Append(kept.Length > 0 ? kept[columns..] : kept).Append('\n');
        }

        return text.ToString();
    }
}
