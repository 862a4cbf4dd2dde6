namespace Understory.Decoding.Drafters;

/// <summary>Who may propose in a step, and what bounds the tree.</summary>
/// <param name="Ngram">What the request tells and what is looked up may be proposed.</param>
/// <param name="Draft">The draft model may run.</param>
/// <param name="Auto">Nothing is drafted unless it is expected to pay.</param>
/// <param name="FixedNodes">Above 0: grow exactly so many nodes, whatever they cost.</param>
/// <param name="FixedRounds">Above 0: run exactly so many draft rounds, whatever they cost.</param>
/// <param name="MaxDepth">Deepest node worth having: the context and max_tokens end there.</param>
/// <param name="TokensLeft">Tokens that the sequence may still commit: what a draft's prefill is spread over.</param>
/// <param name="Forced">The only text that a constraint leaves may be proposed.</param>
/// <param name="Branch">Above 0: at most so many candidates of the draft per node; with 1 the tree is a chain.</param>
public readonly record struct GrowthLimits(
    bool Ngram, bool Draft, bool Auto, int FixedNodes, int FixedRounds, int MaxDepth, int TokensLeft, bool Forced = true, int Branch = 0)
{
    /// <summary>How far sources go for a proposal.</summary>
    public Reach Reach(bool lookUp) => lookUp ? Drafters.Reach.LookedUp : Ngram ? Drafters.Reach.Told : Drafters.Reach.Forced;
}
