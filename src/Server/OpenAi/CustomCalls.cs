using System.Text;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary>What a custom tool was called with.</summary>
/// <param name="Index">Of the call, as in <see cref="ToolCallBegun"/>.</param>
internal sealed record CustomToolInput(int Index, string Text) : AnswerPart;

/// <summary>
/// One choice's parts as its client knows the tools: the arguments of a custom tool's call become its text, which is known once the call
/// is over, since the model writes an object around it.
/// </summary>
internal sealed class CustomCalls(OfferedTools tools)
{
    private readonly StringBuilder _arguments = new();
    private int _open = -1;

    /// <param name="end">Nothing follows.</param>
    public IReadOnlyList<AnswerPart> Read(IReadOnlyList<AnswerPart> parts, bool end)
    {
        if (_open < 0 && !parts.Any(part => part is ToolCallBegun begun && IsCustom(begun.Name)))
        {
            return parts;
        }

        var read = new List<AnswerPart>();
        foreach (AnswerPart part in parts)
        {
            if (part is ToolCallArguments arguments && arguments.Index == _open)
            {
                _arguments.Append(arguments.Text);
                continue;
            }

            Close(read);
            read.Add(part);
            _open = part is ToolCallBegun begun && IsCustom(begun.Name) ? begun.Index : -1;
        }

        if (end)
        {
            Close(read);
        }

        return read;
    }

    private bool IsCustom(string name) => tools.Origin(name).Custom;

    private void Close(List<AnswerPart> read)
    {
        if (_open >= 0)
        {
            read.Add(new CustomToolInput(_open, CustomInput.Of(_arguments.ToString())));
            _arguments.Clear();
            _open = -1;
        }
    }
}
