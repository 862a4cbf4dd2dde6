using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>The grammars that answers are held to: of a form, of calls of tools, or of either.</summary>
internal static class AnswerGrammar
{
    private static readonly Grammar Blanks = Grammar.Repeat(Grammar.Characters((' ', ' '), ('\n', '\n')), 0, 2);

    /// <summary>The texts that a form allows.</summary>
    /// <exception cref="ChatException">The form cannot be used; the message says where.</exception>
    public static Grammar Of(AnswerForm form, Tokenizer tokenizer, GrammarBudget budget) => Named(form.Field, () => form switch
    {
        JsonObjectForm => Grammar.JsonObject(),
        JsonSchemaForm schema => Grammar.JsonSchema(schema.Schema, budget: budget),
        RegexForm regex => Grammar.Regex(regex.Pattern),
        GbnfForm gbnf => Grammar.Gbnf(gbnf.Grammar, tokenizer),
        _ => throw new InvalidOperationException($"A form of the kind {form.GetType().Name}."),
    });

    /// <summary>What the answer to a conversation may be; null: anything.</summary>
    /// <param name="answer">What its text is read for.</param>
    /// <exception cref="ChatException">The form or a tool's parameters cannot be used; the message says where.</exception>
    public static Grammar? Of(Conversation conversation, AnswerSyntax answer, Tokenizer tokenizer, GrammarBudget budget)
    {
        var forms = new Forms(conversation, answer, tokenizer, budget);
        Grammar? said = conversation.Form is { } form ? forms.Said(Of(form, tokenizer, budget)) : null;
        if (answer.Syntax is { } syntax)
        {
            if (conversation.ToolChoice.Mode == ToolChoiceMode.Required)
            {
                said = forms.Calls(syntax);
            }
            else if (said is not null)
            {
                said = Grammar.Choice(said, forms.Calls(syntax));
            }
            else if (conversation.CallableTools.Any(tool => tool.Strict))
            {
                said = forms.Free(syntax);
            }
        }

        return said is null ? null : forms.WithThoughts(said);
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

    /// <summary>The parts of an answer to one conversation, in the model's own marks.</summary>
    private sealed class Forms(Conversation conversation, AnswerSyntax answer, Tokenizer tokenizer, GrammarBudget budget)
    {
        private readonly FormTexts _texts = new(tokenizer,
        [
            .. answer.Syntax?.Specials ?? [], .. answer.Thoughts?.Specials ?? [], .. answer.Channels?.Marks ?? [],
        ], budget);

        /// <summary>Where another message begins.</summary>
        private Grammar Next => _texts.Of(answer.Channels!.MessageEnd + ChannelSyntax.Start);

        /// <summary>What is said, within the marks around it.</summary>
        public Grammar Said(Grammar text) => answer.Channels is { } channels ? Grammar.Sequence(_texts.Of(channels.TextHead), text)
            : answer.Thoughts?.AnswerMarks is [var open, var close]
                ? Grammar.Sequence(Grammar.Optional(_texts.Of(open)), text, Grammar.Optional(_texts.Of(close)))
            : text;

        public Grammar WithThoughts(Grammar said)
        {
            if (answer.Channels is { } channels)
            {
                return Grammar.Sequence(Grammar.Optional(Grammar.Sequence(_texts.Of(channels.ThoughtsHead),
                    Grammar.TextWithout(channels.MessageEnd), Next)), said);
            }

            Grammar body = answer.SkipsLead ? Grammar.Sequence(Blanks, said) : said;
            if (answer.Thoughts is not { } marks || answer.Thinking == ThoughtState.None)
            {
                return body;
            }

            Grammar rest = Grammar.Sequence(Grammar.TextWithout(marks.Close), _texts.Of(marks.Close), Blanks, said);
            return answer.Thinking == ThoughtState.Open ? rest
                : Grammar.Choice(body, Grammar.Sequence(answer.SkipsLead ? Blanks : Grammar.Empty, _texts.Of(marks.Open), rest));
        }

        /// <summary>Text, or text and calls that are held to their schemas.</summary>
        public Grammar Free(ToolSyntax syntax)
        {
            if (answer.Channels is { } channels)
            {
                Grammar text = Said(Grammar.TextWithout(channels.MessageEnd));
                return Grammar.Choice(text, Grammar.Sequence(Grammar.Optional(Grammar.Sequence(text, Next)), Calls(syntax)));
            }

            return Grammar.Choice(TextWithoutCall(syntax),
                Grammar.Sequence(syntax.BareAtStart ? Grammar.Empty : TextWithoutCall(syntax), Calls(syntax)));
        }

        /// <summary>One call, or as many as the conversation allows, in the model's own way.</summary>
        public Grammar Calls(ToolSyntax syntax)
        {
            bool several = conversation.ParallelToolCalls
                && !(conversation.ToolChoice is { Mode: ToolChoiceMode.Required, Names.Count: 1 });
            return syntax.Calls([.. conversation.CallableTools.Select(Bound)], several, _texts, (tool, make) => Named(tool.Field, make));
        }

        /// <summary>Text that the parser finds no call in.</summary>
        private static Grammar TextWithoutCall(ToolSyntax syntax) => syntax.BareAtStart
            ? Grammar.Choice(Grammar.Empty,
                Grammar.Sequence(Grammar.Characters(('!', 'z'), ('|', 0x10FFFF)), Grammar.TextWithout(syntax.Marker)))
            : syntax.Beginning is { } beginning
                ? Grammar.Intersect(Grammar.TextWithout(syntax.Marker), Grammar.TextWithout(beginning))
            : Grammar.TextWithout(syntax.Marker);

        /// <summary>A tool whose schema allows nothing but objects.</summary>
        private Tool Bound(Tool tool) => tool with { Parameters = Named(tool.Field, () => ObjectSchema(tool.Parameters)) };
    }

    /// <summary>The objects among what a schema allows, which is what arguments can be.</summary>
    /// <exception cref="GrammarException">There are none.</exception>
    private static JsonElement ObjectSchema(JsonElement schema)
    {
        const string Problem = "allows no object, which is what a call's arguments are; give the type \"object\".";
        if (schema.ValueKind == JsonValueKind.True)
        {
            return Tool.AnyObject;
        }

        if (schema.ValueKind != JsonValueKind.Object)
        {
            throw new GrammarException("#", Problem);
        }

        if (FormTexts.Values(schema)?.All(value => value.ValueKind != JsonValueKind.Object) is true)
        {
            throw new GrammarException(schema.TryGetProperty("const", out _) ? "#/const" : "#/enum", Problem);
        }

        if (schema.TryGetProperty("type", out JsonElement type))
        {
            return type.ValueKind == JsonValueKind.String && type.GetString() == "object" ? schema
                : type.ValueKind == JsonValueKind.Array
                    && type.EnumerateArray().Any(one => one.ValueKind == JsonValueKind.String && one.GetString() == "object") ? Typed()
                : throw new GrammarException("#/type", Problem);
        }

        return Typed();

        JsonElement Typed()
        {
            JsonObject whole = JsonObject.Create(schema.Clone())!;
            whole["type"] = "object";
            return JsonDocument.Parse(whole.ToJsonString()).RootElement;
        }
    }
}
