using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>The grammars that answers are held to: of a format, of calls of tools, or of either.</summary>
internal static class AnswerGrammar
{
    private static readonly Grammar Blanks = Grammar.Repeat(Grammar.Characters((' ', ' '), ('\n', '\n')), 0, 2);

    /// <summary>The texts that a format allows.</summary>
    /// <exception cref="ChatException">The format cannot be used; the message says where.</exception>
    public static Grammar Of(AnswerFormat format, Tokenizer tokenizer, GrammarBudget budget) => Named(format.Field, () => format switch
    {
        JsonObjectFormat => Grammar.JsonObject(),
        JsonSchemaFormat schema => Grammar.JsonSchema(schema.Schema, budget: budget),
        RegexFormat regex => Grammar.Regex(regex.Pattern),
        GbnfFormat gbnf => Grammar.Gbnf(gbnf.Grammar, tokenizer),
        _ => throw new InvalidOperationException($"A format of the kind {format.GetType().Name}."),
    });

    /// <summary>What the answer to a conversation may be; null: anything.</summary>
    /// <param name="answer">What its text is read for.</param>
    /// <exception cref="ChatException">The format or a tool's parameters cannot be used; the message says where.</exception>
    public static Grammar? Of(Conversation conversation, AnswerSyntax answer, Tokenizer tokenizer, GrammarBudget budget)
    {
        Grammar? said = conversation.Format is { } format ? Of(format, tokenizer, budget) : null;
        if (answer.Syntax is { } syntax)
        {
            IReadOnlyList<Tool> tools = conversation.CallableTools;
            if (conversation.ToolChoice.Mode == ToolChoiceMode.Required)
            {
                said = Calls(syntax, tools, conversation, tokenizer, budget);
            }
            else if (said is not null)
            {
                said = Grammar.Choice(said, Calls(syntax, tools, conversation, tokenizer, budget));
            }
            else if (tools.Any(tool => tool.Strict))
            {
                said = Grammar.Choice(TextWithoutCall(syntax),
                    Grammar.Sequence(syntax.BareAtStart ? Grammar.Empty : Grammar.TextWithout(syntax.Marker),
                        Calls(syntax, tools, conversation, tokenizer, budget)));
            }
        }

        return said is null ? null : WithThoughts(said, answer, tokenizer);
    }

    /// <summary>Names the field that is to blame.</summary>
    public static T Named<T>(string field, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (GrammarException e)
        {
            throw new ChatException(field, $"{field}: {e.Message}", "invalid_schema");
        }
    }

    private static Grammar WithThoughts(Grammar said, AnswerSyntax answer, Tokenizer tokenizer)
    {
        if (!answer.Thinks)
        {
            return said;
        }

        Grammar rest = Grammar.Sequence(Grammar.TextWithout(ThoughtMarks.Close), Mark(ThoughtMarks.Close, tokenizer), Blanks);
        return Grammar.Sequence(answer.Thinking ? rest : Grammar.Optional(Grammar.Sequence(Mark(ThoughtMarks.Open, tokenizer), rest)),
            said);
    }

    /// <summary>Text that the parser finds no call in.</summary>
    private static Grammar TextWithoutCall(ToolSyntax syntax) => syntax.BareAtStart
        ? Grammar.Choice(Grammar.Empty,
            Grammar.Sequence(Grammar.Characters(('!', 'z'), ('|', 0x10FFFF)), Grammar.TextWithout(syntax.Marker)))
        : Grammar.TextWithout(syntax.Marker);

    /// <summary>One call, or as many as the conversation allows, in the model's own way.</summary>
    private static Grammar Calls(ToolSyntax syntax, IReadOnlyList<Tool> tools, Conversation conversation, Tokenizer tokenizer,
        GrammarBudget budget)
    {
        Grammar[] calls = [.. tools.Select(tool => Call(syntax, tool, conversation, tokenizer, budget))];
        Grammar call = Grammar.Choice(calls);
        bool several = conversation.ParallelToolCalls && !syntax.BareAtStart
            && !(conversation.ToolChoice is { Mode: ToolChoiceMode.Required, Names.Count: 1 });
        Grammar list = several ? Grammar.Sequence(call, Grammar.Repeat(Grammar.Sequence(Grammar.Literal(syntax.Separator), call))) : call;
        return syntax is { Lists: true, NameFirst: false }
            ? Grammar.Sequence(Mark(syntax.Marker, tokenizer), Grammar.Literal("["), list, Grammar.Literal("]"))
            : list;
    }

    private static Grammar Call(ToolSyntax syntax, Tool tool, Conversation conversation, Tokenizer tokenizer, GrammarBudget budget)
    {
        string field = FieldOf(tool, conversation);
        // Arguments of a tool that is not strict are held to what can be held of its parameters.
        Grammar arguments = Named(field, () => Grammar.JsonSchema(tool.Parameters, loosely: !tool.Strict, budget));
        if (syntax.NameFirst)
        {
            return Grammar.Sequence(Mark(syntax.Marker, tokenizer), Grammar.Literal(tool.Name), Mark(ToolSyntax.ArgumentsMark, tokenizer),
                arguments);
        }

        Grammar call = Grammar.Sequence(
            Grammar.Literal($"{{\"name\": {JsonSerializer.Serialize(tool.Name)}, \"{syntax.ArgumentsKey}\": "), arguments,
            Grammar.Literal("}"));
        return syntax.Close is { } close
            ? Grammar.Sequence(Mark(syntax.Marker, tokenizer), Grammar.Literal("\n"), call, Grammar.Literal("\n"), Mark(close, tokenizer))
            : call;
    }

    private static string FieldOf(Tool tool, Conversation conversation) =>
        $"tools[{conversation.Tools.Index().First(pair => ReferenceEquals(pair.Item, tool)).Index}].function.parameters";

    /// <summary>A mark that may be a special token, which has no text.</summary>
    private static Grammar Mark(string text, Tokenizer tokenizer) =>
        tokenizer.TryGetId(text, out int id) && tokenizer.IsSpecial(id) ? Grammar.Token(id) : Grammar.Literal(text);
}
