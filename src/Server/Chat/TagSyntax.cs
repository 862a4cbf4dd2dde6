namespace Understory.Server.Chat;

/// <summary>
/// Marks of a call whose arguments stand between tags, each value as it is: the ways of Qwen3-Coder, GLM, MiniMax, Muse-Glimmer.
/// </summary>
/// <param name="NameOpen">Stands before the function's name.</param>
/// <param name="NameClose">Ends it.</param>
/// <param name="KeyOpen">Stands before an argument's name.</param>
/// <param name="KeyClose">Ends it.</param>
/// <param name="ValueOpen">Stands before the value, after blanks that do not count.</param>
/// <param name="ValueClose">Ends the value.</param>
/// <param name="CallClose">Ends the call.</param>
/// <param name="OwnLines">A value stands on lines of its own: a line end after its opening, and one before its closing, are no part of
/// it.</param>
/// <param name="Between">What a model writes between key and value, as it was trained to.</param>
public sealed record TagSyntax(string NameOpen, string NameClose, string KeyOpen, string KeyClose, string ValueOpen, string ValueClose,
    string CallClose, bool OwnLines, string Between = "")
{
    /// <summary>Qwen3-Coder and Qwen3.5.</summary>
    public static TagSyntax Qwen { get; } =
        new("<function=", ">", "<parameter=", ">", "", "</parameter>", "</function>", OwnLines: true);

    /// <summary>GLM 4.5 on: the name stands bare, and its end is the first argument's beginning.</summary>
    public static TagSyntax Glm { get; } =
        new("", "\n", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>", OwnLines: false, "\n");

    public static TagSyntax MiniMax { get; } =
        new("<invoke name=\"", "\">", "<parameter name=\"", "\">", "", "</parameter>", "</invoke>", OwnLines: false);

    /// <summary>Muse-Glimmer.</summary>
    public static TagSyntax Atem { get; } =
        new("<atem:invoke name=\"", "\">", "<atem:parameter name=\"", "\">", "", "</atem:parameter>", "</atem:invoke>", OwnLines: false);
}
