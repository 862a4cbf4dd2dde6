namespace Understory.Decoding.Constraints.Matching;

/// <summary>Keeps the matchers of the constraints used last, with what they have learned. For one thread.</summary>
/// <param name="vocabulary">Columns of the model's logits.</param>
internal sealed class MatcherCache(int vocabulary)
{
    private const int Capacity = 6;

    private readonly List<(Constraint Constraint, bool Ends, ConstraintMatcher Matcher)> _matchers = new(Capacity);

    /// <param name="eos">Tokens that end an answer; none where the request goes on past them.</param>
    public ConstraintMatcher Take(Constraint constraint, IReadOnlyList<int> eos)
    {
        bool ends = eos.Count > 0;
        int at = _matchers.FindIndex(entry => ReferenceEquals(entry.Constraint, constraint) && entry.Ends == ends);
        ConstraintMatcher matcher = at >= 0 && !_matchers[at].Matcher.IsFull
            ? _matchers[at].Matcher
            : new ConstraintMatcher(constraint, vocabulary, eos);
        if (at >= 0 || _matchers.Count == Capacity)
        {
            _matchers.RemoveAt(Math.Max(at, 0));
        }

        _matchers.Add((constraint, ends, matcher));
        return matcher;
    }
}
