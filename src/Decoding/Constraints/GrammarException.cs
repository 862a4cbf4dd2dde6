namespace Understory.Decoding.Constraints;

/// <summary>
/// A schema, regular expression or grammar cannot be used: it is broken, asks for something unsupported, or is too large. The message names
/// what, where and the remedy.
/// </summary>
/// <param name="path">Where: a JSON pointer into a schema (<c>#/properties/a</c>), <c>line 3</c> of a grammar, <c>character 7</c> of an
/// expression; "" for the whole.</param>
public sealed class GrammarException(string path, string message)
    : Exception(path.Length == 0 ? message : $"{path}: {message}")
{
    public string Path { get; } = path;
}
