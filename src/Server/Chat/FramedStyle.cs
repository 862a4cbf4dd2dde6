using Understory.Decoding.Constraints;

namespace Understory.Server.Chat;

/// <summary>A call between marks: <see cref="CallFrame"/>.</summary>
public sealed class FramedStyle(CallFrame frame) : CallStyle
{
    private const int LongestNumber = 3;

    public override IReadOnlyList<string> Marks { get; } = [frame.Open, frame.Separator, frame.Close];

    public override IReadOnlyList<string> Signs { get; } = [frame.Open, frame.Before, frame.Close];

    public override ICallReader NewReader(Func<string, Tool?> find, string? name) => new FramedCallReader(frame, find);

    public override string Write(ToolCall call)
    {
        string id = frame.Lead + call.Name;
        string head = !frame.IsNumbered ? id : call.Id.StartsWith(id + ":", StringComparison.Ordinal) ? call.Id : id + ":0";
        return frame.Open + head + frame.Before + call.Arguments + frame.After;
    }

    internal override Grammar Form(Tool tool, FormTexts texts)
    {
        Grammar number = frame.IsNumbered
            ? Grammar.Sequence(Grammar.Literal(":"), Grammar.Repeat(Grammar.Characters(('0', '9')), 1, LongestNumber)) : Grammar.Empty;
        return Grammar.Sequence(
            texts.Of(frame.Open + frame.Lead + tool.Name), number, texts.Of(frame.Before), texts.Arguments(tool), texts.Of(frame.After));
    }
}
