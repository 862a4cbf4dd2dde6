namespace Understory.Server.Chat;

/// <summary>
/// Marks around a call whose arguments are JSON, as DeepSeek and Kimi write it:
/// <c>Open · Lead · name · Separator · arguments · Close</c>.
/// </summary>
/// <param name="Open">Opens the call.</param>
/// <param name="Lead">Stands before the name.</param>
/// <param name="Separator">Parts the call's head; where <paramref name="Lead"/> does not hold it, it ends the name.</param>
/// <param name="Close">Ends the call.</param>
public sealed record CallFrame(string Open, string Lead, string Separator, string Close)
{
    private const string FenceOpen = "```json";
    private const string FenceClose = "```";

    /// <summary>The arguments stand in a block of code, on lines of their own.</summary>
    public bool IsFenced { get; init; }

    /// <summary>Behind the name comes its number in the conversation: together they are the call's id.</summary>
    public bool IsNumbered { get; init; }

    /// <summary>DeepSeek V3 and R1.</summary>
    public static CallFrame DeepSeek { get; } =
        new("<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>") { IsFenced = true };

    /// <summary>DeepSeek V3.1 on.</summary>
    public static CallFrame DeepSeekBare { get; } = new("<｜tool▁call▁begin｜>", "", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>");

    /// <summary>Kimi K2.</summary>
    public static CallFrame Kimi { get; } =
        new("<|tool_call_begin|>", "functions.", "<|tool_call_argument_begin|>", "<|tool_call_end|>") { IsNumbered = true };

    /// <summary>Stands between name and arguments.</summary>
    public string Before => IsFenced ? $"\n{FenceOpen}\n" : Separator;

    /// <summary>Stands behind the arguments.</summary>
    public string After => (IsFenced ? "\n" + FenceClose : "") + Close;

    /// <summary>Texts behind the arguments, blanks left out.</summary>
    public IReadOnlyList<string> Ends { get; } = [Close, FenceClose + Close];

    /// <summary>The name in what stands between <see cref="Open"/> and the arguments.</summary>
    public string NameIn(string head)
    {
        string name = Without(Without(head.Trim(), FenceOpen).Trim(), Separator).Trim();
        int parted = name.LastIndexOf(Separator, StringComparison.Ordinal);
        name = parted < 0 ? name : name[(parted + Separator.Length)..];
        name = IsNumbered && name.StartsWith(Lead, StringComparison.Ordinal) ? name[Lead.Length..] : name;
        int number = IsNumbered ? name.LastIndexOf(':') : -1;
        return number > 0 && name.AsSpan(number + 1).IndexOfAnyExceptInRange('0', '9') < 0 ? name[..number] : name;
    }

    private static string Without(string text, string end) =>
        text.EndsWith(end, StringComparison.Ordinal) ? text[..^end.Length] : text;
}
