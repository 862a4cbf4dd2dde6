using System.Text;
using System.Text.Json;
using Understory.Decoding.Constraints.Automata;
using Understory.Decoding.Constraints.Json;
using Understory.Decoding.Constraints.Text;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Constraints;

/// <summary>
/// A language over text (UTF-8): what an answer may be. Immutable but for <see cref="GrammarRule.Body"/>, and freely composed; parts may
/// be shared. Compiled for a tokenizer by <see cref="Constraint.Compile"/>. No construction takes part in what it does not show:
/// <c>Literal("a")</c> is just that letter, without white space around it.
/// </summary>
public abstract class Grammar
{
    private protected Grammar()
    {
    }

    /// <summary>The empty text.</summary>
    public static Grammar Empty { get; } = new GrammarSequence([]);

    /// <summary>Any text, the empty one included.</summary>
    public static Grammar AnyText { get; } = Repeat(new GrammarClass(CodePointSet.All));

    /// <summary>No text at all; only of use where alternatives remain.</summary>
    internal static Grammar Nothing { get; } = new GrammarChoice([]);

    /// <summary>Exactly this text.</summary>
    public static Grammar Literal(string text) => new GrammarLiteral(Encoding.UTF8.GetBytes(text));

    /// <summary>One token by its id; the only way to allow a special token, which has no text. It must exist in the tokenizer.</summary>
    public static Grammar Token(int id) => new GrammarToken(id);

    /// <summary>One after the other.</summary>
    public static Grammar Sequence(params ReadOnlySpan<Grammar> parts) => parts.Length == 1 ? parts[0] : new GrammarSequence([.. parts]);

    /// <summary>One of them.</summary>
    public static Grammar Choice(params ReadOnlySpan<Grammar> options) =>
        options.Length == 1 ? options[0] : new GrammarChoice([.. options]);

    public static Grammar Optional(Grammar body) => Repeat(body, 0, 1);

    /// <param name="max">Null: without end.</param>
    public static Grammar Repeat(Grammar body, int min = 0, int? max = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(min);
        ArgumentOutOfRangeException.ThrowIfLessThan(max ?? min, min, nameof(max));
        return new GrammarRepeat(body, min, max);
    }

    /// <summary>One character out of inclusive ranges of code points.</summary>
    public static Grammar Characters(params ReadOnlySpan<(int First, int Last)> ranges) => new GrammarClass(CodePointSet.Of(ranges));

    /// <summary>
    /// A named rule whose body is set afterwards, so that it may refer to itself. Left recursion is refused when compiled.
    /// </summary>
    public static GrammarRule Rule(string name, Grammar? body = null) => new(name) { Body = body! };

    /// <summary>Texts of both. Neither may be recursive.</summary>
    public static Grammar Intersect(Grammar a, Grammar b) => new GrammarCombination(a, b, isDifference: false);

    /// <summary>Texts of <paramref name="a"/> that are not of <paramref name="b"/>. Neither may be recursive.</summary>
    public static Grammar Except(Grammar a, Grammar b) => new GrammarCombination(a, b, isDifference: true);

    /// <summary>
    /// An object, in which no <see cref="Key"/> comes twice. Where a text can be read in several ways, all of them are to agree on which
    /// bytes begin and end objects.
    /// </summary>
    /// <param name="open">Its last byte begins the object.</param>
    /// <param name="close">Its last byte ends it.</param>
    public static Grammar Object(Grammar open, Grammar members, Grammar close) =>
        Sequence(Last(open, KeyMarks.Opens), members, Last(close, KeyMarks.Closes));

    /// <summary>A key of the innermost <see cref="Object"/>, which is not to be one that stands there already.</summary>
    /// <param name="text">Not recursive; each key is to have one way of being written, and to begin others, however long it is.</param>
    /// <param name="end">Its first byte, which no key holds in this place, ends the key.</param>
    public static Grammar Key(Grammar text, Grammar end) =>
        Sequence(new GrammarMarked(text, KeyMarks.Key), First(end, KeyMarks.KeyEnds));

    private static Grammar Last(Grammar part, KeyMarks marks) => part is GrammarSequence { Parts: [.. var rest, var last] }
        ? Sequence([.. rest, Last(last, marks)]) : new GrammarMarked(part, marks);

    private static Grammar First(Grammar part, KeyMarks marks) => part is GrammarSequence { Parts: [var first, .. var rest] }
        ? Sequence([First(first, marks), .. rest]) : new GrammarMarked(part, marks);

    /// <summary>Any text, the empty one included, in which <paramref name="literal"/> does not occur.</summary>
    public static Grammar TextWithout(string literal) =>
        Except(AnyText, Sequence(AnyText, Literal(literal), AnyText));

    /// <summary>
    /// All of a text that matches a regular expression (ECMAScript's notation: classes, escapes, groups, alternatives, quantifiers;
    /// <c>^</c> and <c>$</c> at the ends).
    /// </summary>
    /// <exception cref="GrammarException">It is broken or asks for something unsupported (look-around, back-references, flags), named with
    /// its place.</exception>
    public static Grammar Regex(string pattern) => RegexParser.Parse(pattern, "").Whole();

    /// <summary>
    /// A grammar in llama.cpp's GBNF notation, but for its <c>!&lt;token&gt;</c>; it starts at the rule <c>root</c>.
    /// </summary>
    /// <param name="tokenizer">Knows the tokens that the grammar names; null: it may name none.</param>
    /// <exception cref="GrammarException">It is broken; the message names the line.</exception>
    public static Grammar Gbnf(string source, Tokenizer? tokenizer = null) => GbnfParser.Parse(source, tokenizer);

    /// <summary>
    /// JSON texts that validate against a JSON Schema. Keys come in the schema's order, and the layout is that of one line: <c>{"a": 1,
    /// "b": [2, 3]}</c>.
    /// </summary>
    /// <exception cref="GrammarException">A keyword is unsupported or broken; the message names it and its JSON path.</exception>
    /// <param name="loosely">A keyword that cannot be held is passed over instead of refused: some texts then do not validate.</param>
    /// <param name="budget">What it may cost; null: one of its own.</param>
    /// <exception cref="OperationCanceledException">The budget's token says so.</exception>
    public static Grammar JsonSchema(JsonElement schema, bool loosely = false, GrammarBudget? budget = null) =>
        new SchemaCompiler(schema, JsonTexts.Line, loosely, budget ?? new GrammarBudget()).Compile();

    /// <summary>Any JSON object, laid out on one line or indented.</summary>
    public static Grammar JsonObject() => JsonTexts.Free.Object;

    /// <summary>Any JSON value, laid out on one line or indented.</summary>
    public static Grammar JsonValue() => JsonTexts.Free.Value;
}

/// <summary>A rule of a grammar.</summary>
public sealed class GrammarRule : Grammar
{
    internal GrammarRule(string name) => Name = name;

    /// <summary>Names it in errors.</summary>
    public string Name { get; }

    /// <summary>To be set before the grammar is compiled.</summary>
    public Grammar Body { get; set; } = null!;
}

internal sealed class GrammarLiteral(byte[] bytes) : Grammar
{
    public byte[] Bytes { get; } = bytes;
}

internal sealed class GrammarToken(int id) : Grammar
{
    public int Id { get; } = id;
}

internal sealed class GrammarClass(CodePointSet set) : Grammar
{
    public CodePointSet Set { get; } = set;
}

internal sealed class GrammarSequence(Grammar[] parts) : Grammar
{
    public Grammar[] Parts { get; } = parts;
}

internal sealed class GrammarChoice(Grammar[] options) : Grammar
{
    public Grammar[] Options { get; } = options;
}

internal sealed class GrammarRepeat(Grammar body, int min, int? max) : Grammar
{
    public Grammar Body { get; } = body;

    public int Min { get; } = min;

    public int? Max { get; } = max;
}

/// <summary>A part that is not recursive, whose bytes mean something for the keys of objects.</summary>
internal sealed class GrammarMarked(Grammar body, KeyMarks marks) : Grammar
{
    public Grammar Body { get; } = body;

    public KeyMarks Marks { get; } = marks;
}

/// <summary>Intersection or difference of two regular languages.</summary>
internal sealed class GrammarCombination(Grammar a, Grammar b, bool isDifference) : Grammar
{
    public Grammar A { get; } = a;

    public Grammar B { get; } = b;

    /// <summary>Of A what is not of B; else what is of both.</summary>
    public bool IsDifference { get; } = isDifference;
}
