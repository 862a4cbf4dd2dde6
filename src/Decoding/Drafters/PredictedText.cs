using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Guesses from an answer that the caller predicted: begins at its beginning, and after a divergence goes on where the latest tokens
/// stand in it (the longest such place, of equal ones the nearest ahead).
/// </summary>
internal sealed class PredictedText : IProposalSource
{
    private const int LongestSuffix = 12;

    private TokenContext? _context;
    private int[] _tokens = [];
    private int _followed;
    private Standing _standing;

    /// <param name="At">The predicted token to come; -1: lost.</param>
    /// <param name="Agreed">Tokens before it that were as predicted.</param>
    /// <param name="Last">Where the prediction was last followed.</param>
    private readonly record struct Standing(int At, int Agreed, int Last);

    public Reach Reach => Reach.Told;

    /// <summary>There is a prediction, and the answer is within it.</summary>
    public bool Guides(TokenContext context)
    {
        Follow(context);
        return _standing.At >= 0 && _standing.At < _tokens.Length;
    }

    public void Propose(in Place place, Proposals proposals)
    {
        Follow(place.Context);
        if (Next(place.Context, place.Path, out float probability) is var token and >= 0)
        {
            proposals.Add(token, Stage.Prediction, 0, probability);
        }
    }

    /// <summary>Catches up with the committed tokens.</summary>
    public void Follow(TokenContext context)
    {
        if (!ReferenceEquals(_context, context))
        {
            _context = context;
            _tokens = context.Prediction;
            _followed = context.PromptLength;
            _standing = new Standing(_tokens.Length > 0 ? 0 : -1, 0, 0);
        }

        for (; _followed < context.Length; _followed++)
        {
            if (_tokens.Length > 0)
            {
                _standing = After(_standing, context.Tokens[context.PromptLength..(_followed + 1)], []);
            }
        }
    }

    /// <summary>The predicted token after <paramref name="path"/>, with a probability; -1: none.</summary>
    public int Next(TokenContext context, ReadOnlySpan<int> path, out float probability)
    {
        probability = 0;
        if (_tokens.Length == 0)
        {
            return -1;
        }

        Standing at = _standing;
        for (int i = 0; i < path.Length; i++)
        {
            at = After(at, context.Tokens[context.PromptLength..], path[..(i + 1)]);
        }

        if (at.At < 0 || at.At >= _tokens.Length)
        {
            return -1;
        }

        // The longer it was right, the likelier it goes on being so: as if it had been tried that often, and found wrong once before.
        probability = at.At == 0 ? 0.7f : (at.Agreed + 0.5f) / (at.Agreed + 1.5f);
        return _tokens[at.At];
    }

    /// <summary>
    /// Where the prediction stands after one more token, the last one of <paramref name="path"/>, or of the answer if that is empty.
    /// </summary>
    private Standing After(in Standing before, ReadOnlySpan<int> answer, ReadOnlySpan<int> path)
    {
        int token = path.Length > 0 ? path[^1] : answer[^1];
        if (before.At >= 0 && before.At < _tokens.Length && _tokens[before.At] == token)
        {
            return new Standing(before.At + 1, before.Agreed + 1, before.At + 1);
        }

        int best = -1;
        int bestLength = 0;
        for (int at = _tokens.AsSpan().IndexOf(token); at >= 0;)
        {
            int length = Common(at, answer, path);
            bool nearer = best < 0 || Distance(at + 1, before.Last) < Distance(best, before.Last);
            if (length > bestLength || (length == bestLength && nearer))
            {
                best = at + 1;
                bestLength = length;
            }

            int next = _tokens.AsSpan(at + 1).IndexOf(token);
            at = next < 0 ? -1 : at + 1 + next;
        }

        return new Standing(best, bestLength - 1, best < 0 ? before.Last : best);
    }

    /// <summary>How many tokens up to the predicted one at <paramref name="end"/> equal the latest ones.</summary>
    private int Common(int end, ReadOnlySpan<int> answer, ReadOnlySpan<int> path)
    {
        int length = 0;
        while (length < LongestSuffix && length <= end && length < answer.Length + path.Length)
        {
            int token = length < path.Length ? path[^(length + 1)] : answer[^(length + 1 - path.Length)];
            if (_tokens[end - length] != token)
            {
                break;
            }

            length++;
        }

        return length;
    }

    /// <summary>Going back is as unlikely as going far ahead.</summary>
    private static int Distance(int to, int from) => to >= from ? to - from : 8 * (from - to);
}
