using System.Text;
using Understory.Decoding.Sampling;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Sequences;

/// <summary>A generated token with its log-probability (of l' at temperature 1).</summary>
/// <param name="Top">The most probable tokens in its place, best first.</param>
/// <param name="TextOffset">Characters of the answer before it.</param>
public sealed record TokenLogProb(int Token, float LogProb, IReadOnlyList<(int Token, float LogProb)> Top, int TextOffset);

/// <summary>One answer while it is decoded: progress as named counts, and the text so far.</summary>
public sealed class Sequence
{
    private readonly StreamDecoder _decoder;
    private readonly ITextEnd _end;
    private readonly IReadOnlyList<int> _eos;
    private readonly StringBuilder _text = new();
    private readonly List<TokenLogProb> _logProbs = [];
    private readonly List<TokenLogProb> _promptLogProbs = [];
    private int _decoded;
    private int _pushed;
    private int _released;
    private int _taken;

    internal Sequence(GenerationRequest request, TokenContext context, CacheEntry entry, int cached, int limit, ITextEnd end,
        Tokenizer tokenizer, IReadOnlyList<int> eos)
    {
        Request = request;
        Context = context;
        Entry = entry;
        CachedTokens = PrefilledTokens = cached;
        Limit = limit;
        _decoder = new StreamDecoder(tokenizer, kept: request.KeptSpecials);
        _end = end;
        _eos = request.IgnoreEos ? [] : [.. eos, .. request.EndTokens];
        Trace = request.ReportTree ? new TokenTrace() : null;
        if (limit == 0 && !(request.ReadsPrompt && Prefilling))
        {
            Finish(FinishReason.Length);
        }
        else if (context.IsOver)
        {
            Finish(FinishReason.Stop);
        }
    }

    public GenerationRequest Request { get; }

    /// <summary>Prompt tokens whose keys and values came from the prefix cache.</summary>
    public int CachedTokens { get; }

    /// <summary>Prompt tokens in the cache; the last one is left to the first step.</summary>
    public int PrefilledTokens { get; private set; }

    public int PromptTokens => Context.PromptLength;

    public bool Prefilling => PrefilledTokens < PrefillEnd && !Finished;

    /// <summary>The last token's row is the first step's; an embedding has no steps.</summary>
    internal int PrefillEnd => Request.Embed ? PromptTokens : PromptTokens - 1;

    /// <summary>Tokens of the answer, the end-of-sequence token included.</summary>
    public int GeneratedTokens => Context.Length - PromptTokens;

    public FinishReason FinishReason { get; private set; }

    /// <summary>The stop string that ended the text; null: something else did, or nothing yet.</summary>
    public string? StopString => _end.Found;

    public bool Finished => FinishReason != FinishReason.None;

    public SequenceStatistics Statistics { get; } = new();

    /// <summary>One entry per generated token that is in the text, where the request asked for them.</summary>
    public IReadOnlyList<TokenLogProb> LogProbs => _logProbs;

    /// <summary>
    /// One entry per prompt token but the first, which nothing precedes; where the request asked for them. Offsets are 0.
    /// </summary>
    public IReadOnlyList<TokenLogProb> PromptLogProbs => _promptLogProbs;

    /// <summary>Of the prompt, complete once it is prefilled; null where the request did not ask for it.</summary>
    public HiddenMean? Hidden { get; init; }

    /// <summary>Who proposed which token, where the request asks for it.</summary>
    public TokenTrace? Trace { get; }

    /// <summary>The ids of the answer so far.</summary>
    public ReadOnlySpan<int> GeneratedIds => Context.Tokens[PromptTokens..];

    internal TokenContext Context { get; }

    internal CacheEntry Entry { get; }

    /// <summary>Most tokens to generate.</summary>
    internal int Limit { get; }

    internal int TokensLeft => Limit - GeneratedTokens;

    /// <summary>Text that became certain since the last call: never half a character, never the beginning of a stop string.</summary>
    public string TakeText()
    {
        Decode();
        string text = _text.ToString(_taken, _released - _taken);
        _taken = _released;
        return text;
    }

    internal void Scored(TokenLogProb promptToken) => _promptLogProbs.Add(promptToken);

    /// <summary>
    /// The first <paramref name="tokens"/> of the prompt are in the cache; where nothing is to follow it, that is the end.
    /// </summary>
    internal void Prefilled(int tokens)
    {
        PrefilledTokens = tokens;
        if (Limit == 0 && !Prefilling)
        {
            Finish(FinishReason.Length);
        }
    }

    /// <summary>
    /// Commits a token and ends the sequence where plain decoding would: at EOS, a stop string, the end of its constraint or the limit.
    /// </summary>
    internal void Commit(int token, TokenLogProb? logProb)
    {
        Context.Append(token);
        bool isEnd = _eos.Contains(token);
        if (logProb is not null && (!isEnd || Request.PromptLogProbs))
        {
            Decode(except: 1);
            _logProbs.Add(logProb with { TextOffset = _pushed });
        }

        if (isEnd)
        {
            Finish(FinishReason.Stop, lastIsText: false);
            return;
        }

        // Text is made when somebody takes it, unless it may end by itself.
        if (Request.Stop.Count > 0 || Request.TextEnd is not null)
        {
            Decode();
        }

        if (_end.Stopped)
        {
            FinishReason = FinishReason.Stop;
            _logProbs.RemoveAll(entry => entry.TextOffset >= _released);
        }
        else if (Context.IsOver)
        {
            Finish(FinishReason.Stop);
        }
        else if (TokensLeft == 0)
        {
            Finish(FinishReason.Length);
        }
    }

    private void Finish(FinishReason reason, bool lastIsText = true)
    {
        Decode(except: lastIsText ? 0 : 1);
        _decoded = GeneratedTokens;
        Push(_decoder.Flush());
        Trace?.Close(_pushed);
        FinishReason = _end.Stopped ? FinishReason.Stop : reason;
        Release(_end.Flush());
    }

    private void Decode(int except = 0)
    {
        for (; _decoded < GeneratedTokens - except; _decoded++)
        {
            Push(_decoder.Push(GeneratedIds[_decoded]));
            Trace?.Decoded(_pushed);
        }
    }

    private void Push(string piece)
    {
        _pushed += piece.Length;
        Release(_end.Push(piece));
    }

    private void Release(string text)
    {
        _text.Append(text);
        _released += text.Length;
    }
}
