using Understory.Models.Architecture;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Drafters;

/// <summary>
/// How the tokens of a target and of a draft that was trained with another tokenizer stand for each other: by equal bytes, special
/// ones by equal text; those that end a text, or begin one, stand for each other whatever they are called. What has no twin on the
/// other side is the other side's tokens of its text. Look-ups allocate nothing.
/// </summary>
internal sealed class VocabularyMap
{
    /// <summary>Most tokens of the target that a token of the draft is; a longer one is not proposed. Chosen.</summary>
    public const int LongestChain = 16;

    private readonly TokensByBytes _draftTexts;
    private readonly Tokenizer _target;
    private readonly Tokenizer _draft;
    private readonly int[][] _draftOf;
    private readonly int[][] _targetOf;
    private readonly int[] _twins;
    private readonly int[] _others;

    public VocabularyMap((Tokenizer Tokenizer, ModelConfig Config) target, (Tokenizer Tokenizer, ModelConfig Config) draft)
    {
        (_target, _draft) = (target.Tokenizer, draft.Tokenizer);
        var targetTexts = new TokensByBytes(_target, target.Config.VocabularySize);
        _draftTexts = new TokensByBytes(_draft, draft.Config.VocabularySize);
        int shared = targetTexts.All.Count(bytes => _draftTexts.TryFind(bytes, out _));
        Share = (double)shared / Math.Max(1, Math.Min(targetTexts.Count, _draftTexts.Count));
        _draftOf = Translate(target, draft, _draftTexts, int.MaxValue);
        _targetOf = Translate(draft, target, targetTexts, LongestChain);
        _twins = [.. _draftOf.Select(tokens => tokens.Length == 1 ? tokens[0] : -1)];
        for (int token = 0; token < _twins.Length; token++)
        {
            // A draft's one token of a text need not have that text alone on the target's side.
            int twin = _twins[token];
            _twins[token] = twin >= 0 && _targetOf[twin] is [var back] && back == token ? twin : -1;
        }

        _others = [.. Enumerable.Range(0, _targetOf.Length)
            .Where(token => _targetOf[token] is { Length: > 0 } tokens && _twins[tokens[0]] != token)];
    }

    /// <summary>Texts of tokens that both have, as a share of the smaller vocabulary's.</summary>
    public double Share { get; }

    /// <summary>The draft's token with a target token's bytes, by the target's ids; -1: there is none.</summary>
    public ReadOnlySpan<int> Twins => _twins;

    /// <summary>The draft's tokens that are no target token's twin, but begin with one: all that <see cref="TargetOf"/> has.</summary>
    public ReadOnlySpan<int> Others => _others;

    /// <summary>Every token has the same id on both sides.</summary>
    public bool IsIdentity => _others.Length == 0 && Enumerable.Range(0, _twins.Length)
        .All(token => _twins[token] == token || (_twins[token] < 0 && _target.TokenText(token).Length == 0));

    /// <summary>A target token as the draft's tokens; empty: the draft cannot write it.</summary>
    public ReadOnlySpan<int> DraftOf(int target) => _draftOf[target];

    /// <summary>A token of the draft as the target's tokens; empty: it is never proposed.</summary>
    public ReadOnlySpan<int> TargetOf(int draft) => _targetOf[draft];

    /// <summary>The bytes of a token of the draft that stands for text; none of another.</summary>
    public ReadOnlySpan<byte> DraftBytes(int draft) => _draftTexts.Bytes(draft);

    /// <summary>The token of these bytes that the draft has and the target has not.</summary>
    public bool TryFindDraftsOwn(ReadOnlySpan<byte> bytes, out int draft) =>
        _draftTexts.TryFind(bytes, out draft) && _targetOf[draft].Length != 1;

    /// <summary>The token that the draft expects before a text and the target does not put there; -1: none.</summary>
    public int Start => _draft.BosId is { } start && _draft.Encode("") is [var first, ..] && first == start && _target.Encode("") is []
        ? start : -1;

    public override string ToString() => FormattableString.Invariant(
        $"a vocabulary of its own of {_targetOf.Length:N0} tokens; {100 * Share:F0} % of the smaller vocabulary's have the same bytes in ")
        + FormattableString.Invariant($"the target's {_draftOf.Length:N0}, others are re-encoded");

    /// <param name="texts">Of <paramref name="to"/>.</param>
    /// <param name="most">Most tokens that one may become; others become none.</param>
    private static int[][] Translate(
        (Tokenizer Tokenizer, ModelConfig Config) from, (Tokenizer Tokenizer, ModelConfig Config) to, TokensByBytes texts, int most)
    {
        int[][] all = new int[from.Config.VocabularySize][];
        Array.Fill(all, []);
        for (int token = 0; token < Math.Min(all.Length, from.Tokenizer.VocabularySize); token++)
        {
            ReadOnlySpan<byte> bytes = from.Tokenizer.TokenBytes(token);
            if (from.Tokenizer.IsSpecial(token))
            {
                int role = SameRole(token, from, to);
                // To the draft a mark that it does not know is text; its own marks are never proposed as text.
                all[token] = role >= 0 ? [role] : most == int.MaxValue ? texts.Spell(bytes) : [];
            }
            else if (texts.TryFind(bytes, out int twin))
            {
                all[token] = [twin];
            }
            else if (!bytes.IsEmpty)
            {
                int[] spelled = texts.Spell(bytes);
                all[token] = spelled.Length <= most ? spelled : [];
            }
        }

        return all;
    }

    /// <summary>The special token that has the same text, or else also ends or begins a text; -1: none.</summary>
    private static int SameRole(
        int token, (Tokenizer Tokenizer, ModelConfig Config) from, (Tokenizer Tokenizer, ModelConfig Config) to)
    {
        int found = to.Tokenizer.TryGetId(from.Tokenizer.TokenText(token), out int same) && to.Tokenizer.IsSpecial(same) ? same
            : from.Config.EosTokenIds.Contains(token) && to.Config.EosTokenIds is [var end, ..] ? end
            : token == from.Tokenizer.BosId ? to.Tokenizer.BosId ?? -1
            : -1;
        return found < to.Config.VocabularySize ? found : -1;
    }
}
