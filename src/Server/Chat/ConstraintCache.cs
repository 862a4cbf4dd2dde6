using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Server.Chat;

/// <summary>
/// Compiled constraints of the last requests: the same schema comes again and again, and what decoding learns of a constraint stays with
/// it. However many ask at once, each is compiled once, on a thread of its own, a few side by side; it ends when nobody waits for it any
/// more. May be used by several threads at once.
/// </summary>
internal sealed class ConstraintCache(Tokenizer tokenizer)
{
    private const int Most = 32;

    /// <summary>Decoding needs the other cores.</summary>
    private static readonly SemaphoreSlim s_slots = new(Math.Max(1, Environment.ProcessorCount / 2));

    private readonly Lock _lock = new();
    private readonly LinkedList<Making> _recent = [];

    /// <param name="key">Says all that the grammar depends on.</param>
    /// <param name="field">The request's field to blame where the grammar cannot be compiled.</param>
    /// <exception cref="ChatException">It cannot.</exception>
    /// <exception cref="OperationCanceledException">The request ended first.</exception>
    public Constraint Get(string key, string field, Func<GrammarBudget, Grammar> grammar, CancellationToken cancellation)
    {
        Making making = Join($"{field} {key}", field, grammar);
        try
        {
            making.Made.Wait(cancellation);
        }
        catch (AggregateException)
        {
            // What went wrong is thrown below, as itself.
        }
        finally
        {
            Leave(making);
        }

        return making.Made.GetAwaiter().GetResult();
    }

    /// <summary>A key for what a conversation asks of its answer.</summary>
    public static string KeyOf(Conversation conversation, AnswerSyntax answer) => JsonSerializer.Serialize(new
    {
        Form = conversation.Form is { } form ? KeyOf(form) : null,
        Tools = answer.Syntax is null
            ? null : conversation.CallableTools.Select(tool =>
                new { tool.Name, tool.Field, Text = tool.Parameters.GetRawText(), tool.Strict }),
        conversation.ToolChoice.Mode,
        Single = conversation.ToolChoice.Names?.Count == 1,
        conversation.ParallelToolCalls,
        answer.Thinking,
    });

    public static string KeyOf(AnswerForm form) => form switch
    {
        JsonSchemaForm schema => "schema " + schema.Schema.GetRawText(),
        RegexForm regex => "regex " + regex.Pattern,
        GbnfForm gbnf => "gbnf " + gbnf.Grammar,
        _ => "object",
    };

    private Making Join(string key, string field, Func<GrammarBudget, Grammar> grammar)
    {
        lock (_lock)
        {
            Making? making = _recent.FirstOrDefault(known => known.Key == key);
            if (making is null)
            {
                var stop = new CancellationTokenSource();
                making = new Making(key, stop, Task.Factory.StartNew(
                    () => Make(field, grammar, stop.Token), stop.Token, TaskCreationOptions.LongRunning, TaskScheduler.Default));
            }
            else
            {
                _recent.Remove(making);
            }

            _recent.AddFirst(making);
            making.Waiting++;
            if (_recent.Count > Most)
            {
                _recent.RemoveLast();
            }

            return making;
        }
    }

    private Constraint Make(string field, Func<GrammarBudget, Grammar> grammar, CancellationToken stop)
    {
        s_slots.Wait(stop);
        try
        {
            var budget = new GrammarBudget(stop);
            return AnswerGrammar.Named(field, () => Constraint.Compile(grammar(budget), tokenizer, budget));
        }
        finally
        {
            s_slots.Release();
        }
    }

    /// <summary>Whoever leaves last ends what is not ready; and what failed for another reason than its request is tried again.</summary>
    private void Leave(Making making)
    {
        lock (_lock)
        {
            bool unready = --making.Waiting == 0 && !making.Made.IsCompleted;
            if (unready)
            {
                making.Stop.Cancel();
            }

            if (unready || (making.Made.IsFaulted && making.Made.Exception.InnerException is not ChatException))
            {
                _recent.Remove(making);
            }
        }
    }

    /// <param name="Made">Ready, refused, or being made.</param>
    private sealed record Making(string Key, CancellationTokenSource Stop, Task<Constraint> Made)
    {
        /// <summary>Requests that wait for it.</summary>
        public int Waiting { get; set; }
    }
}
