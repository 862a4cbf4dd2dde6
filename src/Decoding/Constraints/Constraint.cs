using Understory.Decoding.Constraints.Automata;
using Understory.Decoding.Constraints.Matching;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Constraints;

/// <summary>
/// A grammar compiled for a tokenizer: the answers that a request may get. Immutable; may be shared by any number of requests, and should
/// be where they have the same grammar, since what is learned of it while decoding is kept with it.
/// </summary>
public sealed class Constraint
{
    private Constraint(GrammarAutomaton automaton, Tokenizer tokenizer)
    {
        Automaton = automaton;
        Tokenizer = tokenizer;
    }

    internal GrammarAutomaton Automaton { get; }

    internal Tokenizer Tokenizer { get; }

    /// <summary>Takes milliseconds for most grammars; the first call for a tokenizer also sorts its vocabulary.</summary>
    /// <exception cref="GrammarException">The grammar is left-recursive, too large, or allows no text; the message names the rule or the
    /// limit.</exception>
    public static Constraint Compile(Grammar grammar, Tokenizer tokenizer)
    {
        GrammarAutomaton automaton = GrammarAutomaton.Compile(grammar);
        _ = automaton.Alike;
        _ = VocabularyTrie.Of(tokenizer);
        _ = VocabularyTrie.OfFirst(tokenizer);
        _ = VocabularyTrie.Bands(tokenizer);
        return new Constraint(automaton, tokenizer);
    }

    /// <summary>Whether a whole text is one that the grammar allows.</summary>
    public bool Matches(string text) => Matches(Automaton, text);

    /// <summary>Whether a grammar allows a text, without a tokenizer.</summary>
    /// <exception cref="GrammarException">As for <see cref="Compile"/>, but that a grammar without any text is no error.</exception>
    internal static bool Allows(Grammar grammar, string text) =>
        !ReferenceEquals(grammar, Grammar.Nothing)
            && Matches(GrammarAutomaton.Compile(Grammar.Choice(grammar, Grammar.Literal("\0"))), text);

    private static bool Matches(GrammarAutomaton automaton, string text)
    {
        var states = new MatchStates(automaton);
        int state = states.Start;
        foreach (byte value in System.Text.Encoding.UTF8.GetBytes(text))
        {
            state = states.Next(state, value);
            if (state == MatchStates.Dead)
            {
                return false;
            }
        }

        return states.Accepts(state);
    }
}
