using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.ML.Tokenizers;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tokenizers;

/// <summary>
/// Text to token ids and back, as Hugging Face's tokenizers library does for byte-pair encodings: byte-level ones (GPT-2,
/// Llama 3, Qwen) and SentencePiece's (Llama 2, Mistral, Phi-3). May be used by several threads at once. What the base class offers
/// (counts, offsets, where to cut a text that must fit) goes by the same engine; see docs/tokenizer.md.
/// </summary>
public sealed class Tokenizer : Microsoft.ML.Tokenizers.Tokenizer
{
    private readonly TokenizerParts _parts;
    private readonly BytePairEncoding _encoding;
    private readonly AddedTokenMatcher? _rawTokens;
    private readonly AddedTokenMatcher? _normalizedTokens;
    private readonly HashSet<int> _special;
    private readonly Lazy<string> _fingerprint;
    private readonly Lazy<Tokenizer> _bare;
    private readonly Lazy<Tokenizer> _literal;
    private readonly IPreTokenizer? _cutter;
    private readonly IPreTokenizer? _refiner;
    private EncodingScratch? _spareScratch;

    internal Tokenizer(TokenizerParts parts)
    {
        _parts = parts;
        _encoding = new BytePairEncoding(parts.Vocabulary, parts.Merges, parts.Encoding);
        Decoder = new TokenDecoder(parts.Vocabulary, parts.Decoder);
        _special = [.. parts.AddedTokens.Where(token => token.Special).Select(token => token.Id)];
        _rawTokens = Matcher(parts.AddedTokens.Where(token => !token.Normalized).Select(token => (token.Content, token)));
        _normalizedTokens = Matcher(parts.AddedTokens.Where(token => token.Normalized)
            .Select(token => (parts.Normalizer?.Normalize(token.Content) ?? token.Content, token)));
        _fingerprint = new Lazy<string>(parts.Vocabulary.Fingerprint);
        _bare = new Lazy<Tokenizer>(() => new Tokenizer(this, _parts with { Prefix = [], Suffix = [] }));
        _literal = new Lazy<Tokenizer>(() => new Tokenizer(Bare, Bare._parts, addedTokens: false));
        IPreTokenizer? words = parts.PreTokenizer;
        (IPreTokenizer? first, IPreTokenizer? others) = words is PreTokenizerSequence sequence ? sequence.Parted : (words, null);
        (_cutter, _refiner) = first?.CutsOnly == true ? (first, others) : (null, words);
    }

    /// <summary>Another one with the same engine.</summary>
    private Tokenizer(Tokenizer other, TokenizerParts parts, bool addedTokens = true)
    {
        _parts = parts;
        (_encoding, Decoder, _special, _fingerprint) = (other._encoding, other.Decoder, other._special, other._fingerprint);
        (_cutter, _refiner) = (other._cutter, other._refiner);
        (_rawTokens, _normalizedTokens) = addedTokens ? (other._rawTokens, other._normalizedTokens) : (null, null);
        _bare = parts is { Prefix.Count: 0, Suffix.Count: 0 }
            ? new Lazy<Tokenizer>(this) : new Lazy<Tokenizer>(() => new Tokenizer(this, _parts with { Prefix = [], Suffix = [] }));
        _literal = addedTokens
            ? new Lazy<Tokenizer>(() => new Tokenizer(Bare, Bare._parts, addedTokens: false)) : new Lazy<Tokenizer>(this);
    }

    /// <summary>This tokenizer without the tokens that the file's post-processor puts around a text.</summary>
    public Tokenizer Bare => _bare.Value;

    /// <summary><see cref="Bare"/>, to which special tokens in a text are text like any other.</summary>
    public Tokenizer Literal => _literal.Value;

    /// <summary>Highest token id + 1. A model's logits may have more columns: its padding.</summary>
    public int VocabularySize => Math.Min(_parts.Vocabulary.Size, _parts.IdLimit);

    /// <summary>The token that begins a text, if the files say so.</summary>
    public int? BosId => _parts.BosId;

    /// <summary>The token that ends a text, if the files say so. A model may know more of them: see its generation config.</summary>
    public int? EosId => _parts.EosId;

    /// <summary>SHA-256 of ids and texts, in hexadecimal: equal exactly when two tokenizers have the same vocabulary.</summary>
    public string Fingerprint => _fingerprint.Value;

    internal TokenDecoder Decoder { get; }

    /// <summary>
    /// Reads a tokenizer.json, and which tokens begin and end a text from the tokenizer_config.json beside it, if there is one.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is broken or asks for something unsupported; the message names file and
    /// field.</exception>
    public static Tokenizer Load(string path)
    {
        const long MaxBytes = 256 << 20;
        // Of what a link leads to, not of the link.
        using FileStream stream = File.OpenRead(path);
        long length = stream.Length;
        if (length > MaxBytes)
        {
            throw new InvalidDataException($"{path}: {length} bytes is too large for a tokenizer (at most {MaxBytes})");
        }

        TokenizerConfig? config = TokenizerConfig.Read(Path.GetDirectoryName(Path.GetFullPath(path))!);
        byte[] json = new byte[length];
        stream.ReadExactly(json);
        return new Tokenizer(TokenizerJson.Read(json, path).With(config));
    }

    /// <summary>Reads the text of a tokenizer.json; <paramref name="source"/> names it in errors.</summary>
    /// <exception cref="InvalidDataException">As for <see cref="Load"/>.</exception>
    public static Tokenizer Parse(ReadOnlyMemory<byte> json, string source) => new(TokenizerJson.Read(json.Span, source));

    /// <summary>Makes the tokenizer that a GGUF file's metadata describe.</summary>
    /// <exception cref="InvalidDataException">The metadata are inconsistent or ask for something unsupported.</exception>
    public static Tokenizer FromGguf(GgufVocabulary vocabulary) => new(GgufTokenizer.Read(vocabulary));

    /// <summary>
    /// This tokenizer for a model that has but so many tokens. A file may have a few added ones more, which such a model cannot take: a
    /// text that holds one is refused.
    /// </summary>
    /// <exception cref="InvalidDataException">Some of the tokens beyond are not added ones: it is another model's tokenizer.</exception>
    public Tokenizer Within(int vocabulary)
    {
        HashSet<int> added = [.. _parts.AddedTokens.Select(token => token.Id)];
        for (int id = vocabulary; id < _parts.Vocabulary.Size; id++)
        {
            if (_parts.Vocabulary.Contains(id) && !added.Contains(id))
            {
                throw new InvalidDataException(
                    $"The tokenizer has {_parts.Vocabulary.Size:N0} tokens and the model only {vocabulary:N0}.");
            }
        }

        return vocabulary >= VocabularySize ? this : new Tokenizer(this, _parts with { IdLimit = vocabulary });
    }

    /// <summary>
    /// The ids of <paramref name="text"/>. Added tokens written in it are recognised. Lone surrogates count as U+FFFD.
    /// </summary>
    /// <param name="addSpecialTokens">Put the tokens around it that the file's post-processor adds (a beginning of text, say).</param>
    /// <param name="most">A text that has more tokens may be left off anywhere behind these.</param>
    /// <exception cref="TokenizationException">The text cannot be encoded; the message says why.</exception>
    public int[] Encode(string text, bool addSpecialTokens = true, int most = int.MaxValue) =>
        [.. Encode(text.AsMemory(), addSpecialTokens, new TokenSink { Most = most }).Ids];

    /// <summary>
    /// The text of <paramref name="ids"/>; ids that the vocabulary lacks are left out. Bytes that are not UTF-8 become U+FFFD.
    /// </summary>
    /// <param name="skipSpecial">Leave special tokens out.</param>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial = false)
    {
        var bytes = new List<byte>(ids.Length * 4);
        bool isFirst = true;
        foreach (int id in ids)
        {
            if (Contains(id) && !(skipSpecial && IsSpecial(id)))
            {
                bytes.AddRange(Decoder.Bytes(id, isFirst));
                isFirst = false;
            }
        }

        string text = Decoder.Text(CollectionsMarshal.AsSpan(bytes));
        DecoderOptions options = Decoder.Options;
        int strip = 0;
        while (strip < options.StripCount && strip < text.Length && text[strip] == options.Strip)
        {
            strip++;
        }

        return text[strip..];
    }

    /// <inheritdoc/>
    public override string Decode(IEnumerable<int> ids) => Decode([.. ids], skipSpecial: false);

    /// <inheritdoc/>
    public override OperationStatus Decode(IEnumerable<int> ids, Span<char> destination, out int idsConsumed, out int charsWritten)
    {
        int[] all = [.. ids];
        string text = Decode(all, skipSpecial: false);
        // The most tokens whose text fits, found by halving: a further token makes no text shorter.
        (int fits, int tooLong) = (0, all.Length + 1);
        for (int most = all.Length; tooLong - fits > 1; most = (fits + tooLong) / 2)
        {
            string start = most == all.Length ? text : Decode(all.AsSpan(0, most));
            bool whole = start.Length <= destination.Length && text.StartsWith(start, StringComparison.Ordinal);
            (fits, tooLong) = whole ? (most, tooLong) : (fits, most);
        }

        string written = Decode(all.AsSpan(0, fits));
        written.CopyTo(destination);
        (idsConsumed, charsWritten) = (fits, written.Length);
        return fits == all.Length ? OperationStatus.Done : OperationStatus.DestinationTooSmall;
    }

    /// <summary>
    /// The bytes that a token stands for within a text: perhaps part of a character. None for an id that the vocabulary lacks.
    /// </summary>
    public ReadOnlySpan<byte> TokenBytes(int id) => id < _parts.IdLimit ? Decoder.Bytes(id, first: false) : default;

    /// <summary>Whether some token stands for other bytes where it begins a text (see <see cref="FirstBytes"/>).</summary>
    public bool FirstTokenDiffers => Decoder.Options.DependsOnFirst || Decoder.Options.StripCount > 0;

    /// <summary>The bytes that a token stands for where it begins a text.</summary>
    public ReadOnlySpan<byte> FirstBytes(int id)
    {
        ReadOnlySpan<byte> bytes = Decoder.Bytes(id, first: true);
        DecoderOptions options = Decoder.Options;
        for (int strip = 0; strip < options.StripCount && bytes.Length > 0 && bytes[0] == options.Strip; strip++)
        {
            bytes = bytes[1..];
        }

        return bytes;
    }

    /// <summary>A token as the vocabulary writes it. Empty for an id that the vocabulary lacks.</summary>
    public string TokenText(int id) => id < _parts.IdLimit ? Encoding.UTF8.GetString(_parts.Vocabulary.Text(id)) : "";

    /// <summary>Whether a token is control of the model rather than text.</summary>
    public bool IsSpecial(int id) => _special.Contains(id);

    /// <summary>Finds a token as the vocabulary writes it.</summary>
    public bool TryGetId(string token, out int id) => _parts.Vocabulary.TryFind(token, out id) && id < _parts.IdLimit;

    /// <inheritdoc/>
    protected override EncodeResults<EncodedToken> EncodeToTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        EncodingTrace trace = Traced(text ?? textSpan.ToString(), settings.MaxTokenCount, fromEnd: false);
        return new EncodeResults<EncodedToken>
        {
            Tokens = [.. trace.Kept.Select(token => new EncodedToken(token.Id, TokenText(token.Id), token.Offset))],
            NormalizedText = trace.Normalized,
            CharsConsumed = trace.End,
        };
    }

    /// <inheritdoc/>
    protected override EncodeResults<int> EncodeToIds(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings)
    {
        text ??= textSpan.ToString();
        if (settings.MaxTokenCount == int.MaxValue)
        {
            return new EncodeResults<int> { Tokens = Encode(text), CharsConsumed = text.Length };
        }

        EncodingTrace trace = Traced(text, settings.MaxTokenCount, fromEnd: false);
        return new EncodeResults<int>
        {
            Tokens = [.. trace.Kept.Select(token => token.Id)],
            NormalizedText = trace.Normalized,
            CharsConsumed = trace.End
        };
    }

    /// <inheritdoc/>
    protected override int CountTokens(string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings) =>
        Math.Min(settings.MaxTokenCount, Encode(
            (text ?? textSpan.ToString()).AsMemory(), true, new TokenSink { Counts = true, Most = settings.MaxTokenCount }).Count);

    /// <inheritdoc/>
    protected override int GetIndexByTokenCount(
        string? text, ReadOnlySpan<char> textSpan, EncodeSettings settings, bool fromEnd, out string? normalizedText, out int tokenCount)
    {
        EncodingTrace trace = Traced(text ?? textSpan.ToString(), settings.MaxTokenCount, fromEnd);
        (normalizedText, tokenCount) = (trace.Normalized, trace.Kept.Count);
        return fromEnd ? trace.Start : trace.End;
    }

    internal bool Contains(int id) => id < _parts.IdLimit && _parts.Vocabulary.Contains(id);

    private TokenSink Encode(ReadOnlyMemory<char> text, bool addSpecialTokens, TokenSink sink)
    {
        EncodingScratch scratch = Interlocked.Exchange(ref _spareScratch, null) ?? _encoding.NewScratch();
        sink.Ids.EnsureCapacity(sink.Counts ? 16 : (int)Math.Min((text.Length / 4) + 16L, sink.Most + 16L));
        if (addSpecialTokens)
        {
            sink.Ids.AddRange(_parts.Prefix);
            sink.Told("");
        }

        SplitAt(_rawTokens, text, sink, (piece, start) =>
        {
            ReadOnlyMemory<char> normalized = _parts.Normalizer is null ? piece : _parts.Normalizer.Normalize(piece.ToString()).AsMemory();
            SplitAt(_normalizedTokens, normalized, sink, (words, at) => EncodeWords(words, start + at == 0, scratch, sink));
        });

        if (addSpecialTokens)
        {
            sink.Ids.AddRange(_parts.Suffix);
            sink.Told("");
        }

        _spareScratch = scratch;
        return sink;
    }

    private EncodingTrace Traced(string text, int most, bool fromEnd)
    {
        var trace = new EncodingTrace(_parts.Vocabulary, _parts.Encoding);
        TokenSink sink = Encode(text.AsMemory(), true, new TokenSink { Trace = trace, Most = fromEnd ? int.MaxValue : most });
        trace.Close(text, sink.Ids, most, fromEnd);
        return trace;
    }

    private static AddedTokenMatcher? Matcher(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        (string, AddedToken)[] all = [.. tokens];
        return all.Length == 0 ? null : new AddedTokenMatcher(all);
    }

    /// <summary>Adds the ids of added tokens; hands what lies between them, with its place, to <paramref name="encode"/>.</summary>
    private void SplitAt(AddedTokenMatcher? matcher, ReadOnlyMemory<char> text, TokenSink sink, Action<ReadOnlyMemory<char>, int> encode)
    {
        int done = 0;
        int resume = 0;
        while (!sink.IsFull && matcher?.Next(text.Span, done, ref resume, out int start, out int end) is AddedToken token)
        {
            if (start > done)
            {
                encode(text[done..start], done);
            }

            if (token.Id >= _parts.IdLimit)
            {
                throw new TokenizationException($"The text holds {token.Content}, which this tokenizer knows (as token {token.Id}) and the "
                    + $"model does not: it has {_parts.IdLimit} tokens. Leave it out.");
            }

            sink.Ids.Add(token.Id);
            sink.Told(text.Span[start..end]);
            done = end;
        }

        if (done < text.Length && !sink.IsFull)
        {
            encode(text[done..], done);
        }
    }

    /// <summary>
    /// Cuts a text into words and encodes them: a long one in windows, so that the list of its words stays short. A window ends where a
    /// piece begins at the edge of a blank, well before what it does not see.
    /// </summary>
    private void EncodeWords(ReadOnlyMemory<char> text, bool isStart, EncodingScratch scratch, TokenSink sink)
    {
        if (_parts.PreTokenizer is null)
        {
            sink.Told(text.Span[.._encoding.Encode(text.Span, scratch, sink.Ids, sink.Most)]);
            return;
        }

        const int Usual = 1 << 16;
        int window = Usual;
        for (int start = 0; start < text.Length && !sink.IsFull;)
        {
            ReadOnlyMemory<char> seen = _cutter is null || text.Length - start <= window ? text[start..] : text.Slice(start, window);
            var pieces = new Pieces(seen, isStart && start == 0);
            _cutter?.Apply(pieces);
            int next = start + seen.Length;
            if (next < text.Length && !TryClose(pieces, text.Span[start..], ref next, start))
            {
                window *= 2;
                continue;
            }

            _refiner?.Apply(pieces);
            for (int i = 0; i < pieces.All.Count && !sink.IsFull; i++)
            {
                ReadOnlySpan<char> word = pieces[pieces.All[i]];
                _encoding.Encode(word, scratch, sink.Ids);
                sink.Told(word);
            }

            (start, window) = (next, Usual);
        }
    }

    /// <summary>Drops the last pieces of a window, which may look otherwise with the text behind them.</summary>
    /// <param name="next">Where the first of those dropped begins.</param>
    private static bool TryClose(Pieces pieces, ReadOnlySpan<char> text, ref int next, int start)
    {
        const int Guard = 256;
        for (int i = pieces.All.Count - 1; i > 0; i--)
        {
            int at = pieces.All[i].Start;
            if (at > 0 && at <= next - start - Guard && char.IsWhiteSpace(text[at]) != char.IsWhiteSpace(text[at - 1]))
            {
                pieces.Truncate(i);
                next = start + at;
                return true;
            }
        }

        return false;
    }
}
