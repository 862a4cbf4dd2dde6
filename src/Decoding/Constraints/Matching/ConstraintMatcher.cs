using System.Diagnostics;
using System.Text;
using Understory.Decoding.Constraints.Automata;
using Understory.Models.Kernels;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Constraints.Matching;

/// <summary>
/// Follows texts through a constraint, token by token. States are plain numbers that stay valid as long as the matcher lives; masks and
/// transitions are found when they are first asked for and kept. Used from one thread.
/// </summary>
internal sealed class ConstraintMatcher
{
    /// <summary>No answer begins so.</summary>
    public const int Dead = MatchStates.Dead;

    /// <summary>Bytes of masks that are kept.</summary>
    private const int MaxMaskBytes = 48 << 20;

    /// <summary>With more states than this a new request starts with fresh ones.</summary>
    private const int MaxStates = 100_000;

    private const int MaxForced = 64;

    private readonly MatchStates _states;
    private readonly TextPlaces _places;
    private readonly MaskBuilder _masks;
    private readonly VocabularyTrie _trie;
    private readonly VocabularyTrie _firstTrie;
    private readonly VocabularyTrie _wholeKeys;
    private readonly VocabularyTrie _firstWholeKeys;
    private readonly Tokenizer _tokenizer;
    private readonly int[] _eos;
    private readonly Dictionary<int, ulong[]> _known = [];
    private readonly Stack<ulong[]> _spare = new();
    private readonly Dictionary<int, (int Token, bool Sure)> _forced = [];
    private readonly ulong[] _corrected;

    /// <param name="vocabulary">Columns of the model's logits.</param>
    /// <param name="eos">Tokens that end an answer: allowed where it may end, and only there.</param>
    public ConstraintMatcher(Constraint constraint, int vocabulary, IReadOnlyList<int> eos)
    {
        _tokenizer = constraint.Tokenizer;
        byte[] keyEnds = constraint.Automaton.KeyEnds;
        _states = new MatchStates(constraint.Automaton);
        _places = new TextPlaces(_states, keyEnds.Length > 0);
        _trie = VocabularyTrie.Of(_tokenizer);
        _firstTrie = VocabularyTrie.OfFirst(_tokenizer);
        _masks = new MaskBuilder(
            _states, constraint.Automaton.Alike, VocabularyTrie.Bands(_tokenizer), ReferenceEquals(_firstTrie, _trie)
                ? null : _firstTrie, vocabulary);
        _wholeKeys = VocabularyTrie.OfWholeKeys(_tokenizer, keyEnds, first: false);
        _firstWholeKeys = VocabularyTrie.OfWholeKeys(_tokenizer, keyEnds, first: true);
        _corrected = new ulong[Words];
        _eos = [.. eos];
    }

    public int Start => _places.Start;

    /// <summary>States met so far.</summary>
    public int States => _states.Count;

    /// <summary>Seconds spent on finding masks since the matcher was made.</summary>
    public double Seconds { get; private set; }

    public bool IsFull => _places.Count > MaxStates;

    /// <summary>Words of a mask.</summary>
    public int Words => _masks.Words;

    /// <summary>The answer may end here.</summary>
    public bool Accepts(int state) => _states.Accepts(_places.State(state));

    /// <summary>Nothing may follow but the end.</summary>
    public bool IsOver(int state) => !_states.Continues(_places.State(state));

    /// <summary>The state after a token; <see cref="Dead"/> where it may not follow. Tokens that end the answer lead nowhere.</summary>
    public int Advance(int state, int token)
    {
        ReadOnlySpan<byte> bytes = state == Start ? _firstTrie.Bytes(token) : _trie.Bytes(token);
        return bytes.Length == 0 || _eos.Contains(token) ? Dead : _places.Advance(state, bytes);
    }

    /// <summary>The tokens that may follow: bit <c>v % 64</c> of word <c>v / 64</c>. Valid until the next call.</summary>
    public ReadOnlySpan<ulong> Mask(int state)
    {
        ulong[] words = MaskOf(_places.State(state));
        int[] repeats = Repeats(state);
        if (repeats.Length == 0)
        {
            return words;
        }

        words.CopyTo(_corrected, 0);
        foreach (int token in repeats)
        {
            if (token >> 6 < _corrected.Length)
            {
                _corrected[token >> 6] &= ~(1UL << token);
            }
        }

        return _corrected;
    }

    /// <summary>Tokens of a state's mask that would repeat a key.</summary>
    private int[] Repeats(int place)
    {
        long start = Stopwatch.GetTimestamp();
        int[] repeats = place == Start
            ? _places.Repeats(place, _firstTrie, _firstWholeKeys) : _places.Repeats(place, _trie, _wholeKeys);
        Seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
        return repeats;
    }

    /// <summary>What a state of the grammar allows, whatever keys have been written.</summary>
    private ulong[] MaskOf(int state)
    {
        if (_known.TryGetValue(state, out ulong[]? words))
        {
            return words;
        }

        long start = Stopwatch.GetTimestamp();
        if ((long)_known.Count * Words * sizeof(ulong) > MaxMaskBytes)
        {
            foreach (ulong[] old in _known.Values)
            {
                _spare.Push(old);
            }

            _known.Clear();
        }

        if (_spare.TryPop(out words))
        {
            Array.Clear(words);
        }
        else
        {
            words = new ulong[Words];
        }

        _masks.Fill(state, words);
        foreach (int end in _eos)
        {
            ulong bit = 1UL << end;
            words[end >> 6] = _states.Accepts(state) ? words[end >> 6] | bit : words[end >> 6] & ~bit;
        }

        _known.Add(state, words);
        Seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
        return words;
    }

    /// <summary>Writes the mask of a state into a row of a decision.</summary>
    public void CopyMask(int state, DecisionBatch decision, int row)
    {
        Span<ulong> mask = decision.MaskRow(row);
        if (IsOver(state))
        {
            // The answer ends before what is decided here; any token will do.
            mask.Fill(ulong.MaxValue);
            return;
        }

        Mask(state).CopyTo(mask);
    }

    /// <summary>Whether <paramref name="token"/>, which may follow, is the only one.</summary>
    public bool IsOnly(int state, int token)
    {
        ReadOnlySpan<ulong> mask = Mask(state);
        int word = token >> 6;
        return mask[word] == 1UL << token && !mask[..word].ContainsAnyExcept(0UL) && !mask[(word + 1)..].ContainsAnyExcept(0UL);
    }

    public bool Allows(int state, int token) => (Mask(state)[token >> 6] >> token & 1) != 0;

    /// <summary>
    /// The token to propose where the grammar leaves but one text to go on with: what the tokenizer makes of that text. -1: there is a
    /// choice.
    /// </summary>
    /// <param name="sure">The token is well within the text, so that what comes behind it can hardly make it another one.</param>
    public int Forced(int state, out bool sure)
    {
        if (!_forced.TryGetValue(state, out (int Token, bool Sure) forced))
        {
            forced = FindForced(state);
            _forced.TryAdd(state, forced);
        }

        sure = forced.Sure;
        return forced.Token;
    }

    private (int Token, bool Sure) FindForced(int place)
    {
        int state = _places.State(place);
        Span<byte> text = stackalloc byte[MaxForced];
        int length = 0;
        for (int at = state; length < MaxForced && _states.OnlyByte(at) is var only and >= 0; at = _states.Next(at, (byte)only))
        {
            text[length++] = (byte)only;
        }

        if (length >= 4 && text[0] == NfaBuilder.TokenMark)
        {
            return ((text[1] << 16) | (text[2] << 8) | text[3], true);
        }

        int mark = text[..length].IndexOf(NfaBuilder.TokenMark);
        text = text[..(mark >= 0 ? mark : length)];
        if (text.Length == 0 || text[0] is >= 0x80 and < 0xC0)
        {
            return (-1, false);
        }

        // Half a character at the end is not text; the rest tells what tokens the model would have been trained on.
        while (text.Length > 0 && !System.Text.Unicode.Utf8.IsValid(text))
        {
            text = text[..^1];
        }

        int[] tokens = text.Length == 0 ? [] : _tokenizer.Encode(Encoding.UTF8.GetString(text), addSpecialTokens: false);
        (int, bool) first = (-1, false);
        for (int i = 0, at = place; i < tokens.Length && at != Dead; i++)
        {
            int next = Advance(at, tokens[i]);
            if (next == Dead)
            {
                break;
            }

            (int, bool) forced = (tokens[i], i < tokens.Length - 1);
            first = i == 0 ? forced : first;
            _ = i == 0 || _forced.TryAdd(at, forced);
            at = next;
        }

        return first;
    }
}
