using Understory.Training.Texts;

namespace Understory.Training.Curriculum;

/// <summary>A parameter of a template.</summary>
/// <param name="Key">What descriptions and bodies call it, behind a <c>$</c>.</param>
/// <param name="Type">As Python 3.9 annotates it: <c>list[int]</c>.</param>
/// <param name="Names">What it may be called.</param>
internal sealed record TemplateParameter(string Key, string Type, IReadOnlyList<string> Names);

/// <summary>What a call gives: the expressions between the parentheses, and the value as Python writes it.</summary>
internal sealed record Example(string Arguments, string Value);

/// <summary>
/// A small function in all the forms in which it may be written. The files in <c>Functions</c> hold one after the other, parted by empty
/// lines:
/// <code>
/// gcd greatest_common_divisor                          names
/// a:int b:int=b,y,other -> int                         parameters (the usual names, or those behind =), and what is returned
/// - the greatest common divisor of $a and $b           what it does: a noun, "whether ...", or a verb
/// ~ 12, 18 => 6                                        what a call gives
/// |                                                    a body; $x is a parameter or local variable, $f the function
/// while $b:
///     $a, $b = $b, $a % $b
/// return $a
/// </code>
/// </summary>
internal sealed record FunctionTemplate(
    IReadOnlyList<string> Names,
    IReadOnlyList<TemplateParameter> Parameters,
    string Returns,
    IReadOnlyList<string> Descriptions,
    IReadOnlyList<Example> Examples,
    IReadOnlyList<string> Bodies)
{
    private static readonly Lazy<IReadOnlyList<FunctionTemplate>> _all = new(ReadAll);

    /// <summary>The curriculum's functions, in the order of their files.</summary>
    public static IReadOnlyList<FunctionTemplate> All => _all.Value;

    /// <summary>What a body may be as long as, in characters, for an answer of 128 tokens to hold it.</summary>
    private const int ShortBody = 260;

    public string Name => Names[0];

    /// <summary>Whether every body ends well within 128 tokens.</summary>
    public bool IsShort => Bodies.All(body => body.Length <= ShortBody);

    /// <exception cref="InvalidDataException">The text is no template; the message names the function and the line.</exception>
    public static FunctionTemplate Parse(string text)
    {
        string[] lines = text.Split('\n');
        string[] signature = lines.Length > 1 ? lines[1].Split(" -> ") : [];
        if (signature.Length != 2)
        {
            throw new InvalidDataException($"{lines[0]}: the second line is not 'parameters -> type'");
        }

        List<string> descriptions = [];
        List<Example> examples = [];
        List<List<string>> bodies = [];
        foreach (string line in lines.Skip(2))
        {
            if (line == "|")
            {
                bodies.Add([]);
            }
            else if (bodies.Count > 0)
            {
                bodies[^1].Add(line);
            }
            else if (line.StartsWith("- ", StringComparison.Ordinal))
            {
                descriptions.Add(line[2..]);
            }
            else if (line.StartsWith("~ ", StringComparison.Ordinal) && line.Split(" => ") is [string arguments, string value])
            {
                examples.Add(new Example(arguments[2..], value));
            }
            else
            {
                throw new InvalidDataException($"{lines[0]}: '{line}' is neither a description nor an example");
            }
        }

        return new FunctionTemplate(
            lines[0].Split(' '),
            [.. signature[0].Split(' ').Select(ParseParameter)],
            signature[1],
            descriptions,
            examples,
            [.. bodies.Select(body => string.Join('\n', body))]);
    }

    private static TemplateParameter ParseParameter(string text)
    {
        string[] halves = text.Split('=');
        int colon = halves[0].IndexOf(':');
        string key = halves[0][..colon];
        return new TemplateParameter(key, halves[0][(colon + 1)..], halves.Length > 1 ? halves[1].Split(',') : CommonNames.Of(key));
    }

    private static IReadOnlyList<FunctionTemplate> ReadAll() =>
        [.. Resources.Under("Functions/").SelectMany(Resources.Paragraphs).Select(Parse)];
}
