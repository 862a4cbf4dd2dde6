namespace Understory.Training.Texts;

/// <summary>A logical line: what Python reads as one, over brackets, strings and backslashes.</summary>
/// <param name="Start">Where it begins in the text, blanks included.</param>
/// <param name="End">Behind its line break.</param>
/// <param name="Indent">Columns before its first character.</param>
/// <param name="Code">From its first character to its last that is no comment.</param>
internal readonly record struct PythonLine(int Start, int End, int Indent, string Code);

/// <summary>
/// Reads Python as far as lines, blocks and functions: strings, brackets, comments and indentation (the Python reference, chapter 2).
/// </summary>
internal static class PythonReader
{
    /// <summary>Ends of code that cannot end a line.</summary>
    private static readonly string[] _dangling =
        [" =", "+", " -", "*", "/", "<", ">", " and", " or", " not", " in", " is", ".", " if", " else", "%"];

    private static readonly string[] _blocks =
        ["def ", "class ", "if ", "elif ", "else:", "for ", "while ", "try:", "except ", "except:", "finally:", "with ", "async "];

    /// <summary>The logical lines of <paramref name="text"/> that hold code; null if a string or a bracket is not closed.</summary>
    public static List<PythonLine>? Lines(string text)
    {
        var lines = new List<PythonLine>();
        for (int at = 0; at < text.Length;)
        {
            int start = at;
            int indent = 0;
            while (at < text.Length && text[at] is ' ' or '\t')
            {
                indent += text[at++] == '\t' ? 8 : 1;
            }

            int codeEnd = at;
            int first = at;
            if (!TryRead(text, ref at, ref codeEnd))
            {
                return null;
            }

            if (codeEnd > first)
            {
                lines.Add(new PythonLine(start, at, indent, text[first..codeEnd]));
            }
        }

        return lines;
    }

    /// <summary>
    /// Why <paramref name="text"/> is surely no Python: strings, brackets, blocks and a few kinds of line. Null where nothing of that is
    /// wrong; a whole parser may still object.
    /// </summary>
    public static string? Fault(string text)
    {
        if (Lines(text) is not { } lines)
        {
            return "a string or a bracket is not closed";
        }

        var indents = new Stack<int>([0]);
        bool opens = false;
        foreach (PythonLine line in lines)
        {
            if (opens != line.Indent > indents.Peek())
            {
                return $"'{line.Code}' is indented wrongly";
            }

            if (opens)
            {
                indents.Push(line.Indent);
            }

            while (line.Indent < indents.Peek())
            {
                indents.Pop();
            }

            if (line.Indent != indents.Peek())
            {
                return $"'{line.Code}' is indented wrongly";
            }

            bool isBlock = _blocks.Any(start => line.Code.StartsWith(start, StringComparison.Ordinal));
            opens = line.Code.EndsWith(':');
            bool dangles = _dangling.Any(end => line.Code.EndsWith(end, StringComparison.Ordinal));
            if ((opens && !isBlock) || (isBlock && !line.Code.Contains(':')) || dangles)
            {
                return $"'{line.Code}' is no whole statement";
            }
        }

        return opens ? "the last block is empty" : null;
    }

    /// <summary>Reads on to the end of a logical line.</summary>
    private static bool TryRead(string text, ref int at, ref int codeEnd)
    {
        var open = new Stack<char>();
        while (at < text.Length)
        {
            char letter = text[at];
            switch (letter)
            {
                case '\n' when open.Count == 0:
                    at++;
                    return true;
                case '\\' when at + 1 < text.Length:
                    at += 2;
                    break;
                case '#':
                    at = text.IndexOf('\n', at) is >= 0 and int end ? end : text.Length;
                    break;
                case '"' or '\'':
                    if (!TrySkipString(text, ref at))
                    {
                        return false;
                    }

                    codeEnd = at;
                    break;
                default:
                    if (letter is '(' or '[' or '{')
                    {
                        open.Push(letter switch { '(' => ')', '[' => ']', _ => '}' });
                    }
                    else if (letter is ')' or ']' or '}' && (!open.TryPop(out char closing) || closing != letter))
                    {
                        return false;
                    }

                    at++;
                    codeEnd = char.IsWhiteSpace(letter) ? codeEnd : at;
                    break;
            }
        }

        return open.Count == 0;
    }

    private static bool TrySkipString(string text, ref int at)
    {
        char quote = text[at];
        bool isLong = at + 2 < text.Length && text[at + 1] == quote && text[at + 2] == quote;
        at += isLong ? 3 : 1;
        while (at < text.Length)
        {
            if (text[at] == '\\')
            {
                at += 2;
            }
            else if (isLong ? text.AsSpan(at).StartsWith([quote, quote, quote]) : text[at] == quote)
            {
                at += isLong ? 3 : 1;
                return true;
            }
            else if (text[at] == '\n' && !isLong)
            {
                return false;
            }
            else
            {
                at++;
            }
        }

        return false;
    }
}
