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
    /// <param name="budget">What it may cost; null: one of its own.</param>
    /// <exception cref="OperationCanceledException">The budget's token says so.</exception>
    public static Constraint Compile(Grammar grammar, Tokenizer tokenizer, GrammarBudget? budget = null)
    {
        GrammarAutomaton automaton = GrammarAutomaton.Compile(grammar, budget ?? new GrammarBudget());
        _ = automaton.Alike;
        _ = VocabularyTrie.Of(tokenizer);
        _ = VocabularyTrie.OfFirst(tokenizer);
        _ = VocabularyTrie.Bands(tokenizer);
        _ = VocabularyTrie.OfWholeKeys(tokenizer, automaton.KeyEnds, first: false);
        _ = VocabularyTrie.OfWholeKeys(tokenizer, automaton.KeyEnds, first: true);
        return new Constraint(automaton, tokenizer);
    }

    /// <summary>Whether a whole text is one that the grammar allows.</summary>
    public bool Matches(string text)
    {
        var states = new MatchStates(Automaton);
        var places = new TextPlaces(states, Automaton.KeyEnds.Length > 0);
        int place = places.Advance(places.Start, System.Text.Encoding.UTF8.GetBytes(text));
        return place != TextPlaces.Dead && states.Accepts(places.State(place));
    }

    /// <summary>
    /// What <see cref="Matches(MatchStates, string)"/> asks, of texts without objects; a grammar without any text is no error here.
    /// </summary>
    internal static MatchStates Judge(Grammar grammar, GrammarBudget budget) =>
        new(GrammarAutomaton.Compile(Grammar.Choice(grammar, Grammar.Literal("\0")), budget));

    internal static bool Matches(MatchStates states, string text)
    {
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
