namespace Understory.Models.Kernels.Cpu.Decision;

/// <summary>The best few tokens seen so far: by falling score, then by rising id, in whatever order they come.</summary>
internal readonly ref struct BestTokens
{
    private readonly Span<int> _tokens;
    private readonly Span<float> _scores;

    /// <summary>Starts empty: -1 with a score of -infinity.</summary>
    public BestTokens(Span<int> tokens, Span<float> scores)
    {
        _tokens = tokens;
        _scores = scores;
        tokens.Fill(-1);
        scores.Fill(float.NegativeInfinity);
    }

    /// <summary>What a token must reach to come in.</summary>
    public float Worst => _scores[^1];

    public void Offer(int token, float score)
    {
        int at = _tokens.Length;
        while (at > 0 && Before(token, score, at - 1))
        {
            at--;
        }

        if (at < _tokens.Length)
        {
            _tokens[at..^1].CopyTo(_tokens[(at + 1)..]);
            _scores[at..^1].CopyTo(_scores[(at + 1)..]);
            _tokens[at] = token;
            _scores[at] = score;
        }
    }

    private bool Before(int token, float score, int place) =>
        _tokens[place] < 0 || score > _scores[place] || (score == _scores[place] && token < _tokens[place]);
}
