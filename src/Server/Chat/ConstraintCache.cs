using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>
/// Compiled constraints of the last requests: the same schema comes again and again, and what decoding learns of a constraint stays with
/// it. May be used by several threads at once.
/// </summary>
internal sealed class ConstraintCache(Tokenizer tokenizer)
{
    private const int Most = 32;

    private readonly Lock _lock = new();
    private readonly LinkedList<(string Key, Constraint Constraint)> _recent = [];

    /// <param name="key">Says all that the grammar depends on.</param>
    /// <param name="field">The request's field to blame where the grammar cannot be compiled.</param>
    /// <exception cref="ChatException">It cannot.</exception>
    public Constraint Get(string key, string field, Func<Grammar> grammar)
    {
        lock (_lock)
        {
            for (LinkedListNode<(string Key, Constraint Constraint)>? node = _recent.First; node is not null; node = node.Next)
            {
                if (node.Value.Key == key)
                {
                    _recent.Remove(node);
                    _recent.AddFirst(node);
                    return node.Value.Constraint;
                }
            }
        }

        Constraint made = AnswerGrammar.Named(field, () => Constraint.Compile(grammar(), tokenizer));
        lock (_lock)
        {
            _recent.AddFirst((key, made));
            if (_recent.Count > Most)
            {
                _recent.RemoveLast();
            }
        }

        return made;
    }

    /// <summary>A key for what a conversation asks of its answer.</summary>
    public static string KeyOf(Conversation conversation, AnswerSyntax answer) => JsonSerializer.Serialize(new
    {
        Format = conversation.Format is { } format ? KeyOf(format) : null,
        Tools = answer.Syntax is null
            ? null : conversation.CallableTools.Select(tool => new { tool.Name, Text = tool.Parameters.GetRawText(), tool.Strict }),
        conversation.ToolChoice.Mode,
        Single = conversation.ToolChoice.Names?.Count == 1,
        conversation.ParallelToolCalls,
        answer.Thinking,
    });

    public static string KeyOf(AnswerFormat format) => format switch
    {
        JsonSchemaFormat schema => "schema " + schema.Schema.GetRawText(),
        RegexFormat regex => "regex " + regex.Pattern,
        GbnfFormat gbnf => "gbnf " + gbnf.Grammar,
        _ => "object",
    };
}
