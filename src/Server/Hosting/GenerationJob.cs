using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;
using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Decoding.Verification;
using Understory.Server.Wire;

namespace Understory.Server.Hosting;

/// <summary>What the decoding thread tells the one who waits for a choice.</summary>
/// <param name="Choice">Index into the job's requests.</param>
public abstract record GenerationEvent(int Choice);

/// <summary>The prompt is known to the model.</summary>
public sealed record PromptRead(int Choice, int CachedTokens) : GenerationEvent(Choice);

/// <summary>The log-probabilities of the prompt's tokens from the second on, where wanted.</summary>
public sealed record PromptScored(int Choice, IReadOnlyList<TokenLogProb> LogProbs) : GenerationEvent(Choice);

/// <summary>The mean of the prompt's hidden states, of length 1, where that is all that is wanted.</summary>
public sealed record PromptEmbedded(int Choice, float[] Vector) : GenerationEvent(Choice);

/// <summary>A decoding step.</summary>
/// <param name="Text">Text that became certain; empty where all is still held back.</param>
/// <param name="Tokens">Tokens that the step added to the answer.</param>
/// <param name="LogProbs">Of the tokens in the text, where wanted.</param>
/// <param name="Timestamp">When, by <see cref="Stopwatch.GetTimestamp"/>.</param>
public sealed record StepDone(int Choice, string Text, int Tokens, IReadOnlyList<TokenLogProb> LogProbs, StepReport Report, long Timestamp)
    : GenerationEvent(Choice)
{
    /// <summary>What a decoding step did, where the request asks for it; null for prefill chunks.</summary>
    public StepSpeculation? Speculation { get; init; }
}

/// <param name="Number">Of the decoding step, from 1.</param>
/// <param name="Pieces">The tokens that the step's text is made of.</param>
public sealed record StepSpeculation(int Number, IReadOnlyList<TokenPiece> Pieces, StepTree Tree);

/// <summary>A choice is over.</summary>
/// <param name="Reason">None: the job ended before the choice did.</param>
/// <param name="StopString">The stop string that ended the text; null: something else did.</param>
public sealed record ChoiceFinished(
    int Choice, FinishReason Reason, int PromptTokens, int CachedTokens, int GeneratedTokens, SequenceStatistics Statistics,
    string? StopString = null)
    : GenerationEvent(Choice);

/// <summary>Nothing has happened for a while; sent by a timer, not by the decoding thread.</summary>
public sealed record StillWorking() : GenerationEvent(0);

/// <summary>
/// One HTTP request's share of the decoding thread: its choices, decoded one after another, and the channel on which their text comes back.
/// The HTTP side reads <see cref="Events"/> and may <see cref="End"/> at any time; the decoding thread notices after the step it is in.
/// </summary>
public sealed class GenerationJob(IReadOnlyList<GenerationRequest> choices)
{
    // Unbounded with any number of readers: the channel whose Reader.Count works, by which a slow client is noticed.
    private readonly Channel<GenerationEvent> _events = Channel.CreateUnbounded<GenerationEvent>();
    private readonly ConcurrentQueue<GenerationEvent> _late = [];
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Action? _giveUp;
    private int _mostUnread = int.MaxValue;
    private long _startedAt;
    private bool _ended;

    public IReadOnlyList<GenerationRequest> Choices { get; } = choices;

    /// <summary>The request's id, for those who look at the queue.</summary>
    public string Id { get; set; } = "";

    /// <summary>The path that was asked.</summary>
    public string Endpoint { get; set; } = "";

    public JobProgress Progress { get; } = new(choices);

    /// <summary>Since the first step; zero while it waits.</summary>
    public TimeSpan RunningTime => Volatile.Read(ref _startedAt) is var started and > 0 ? Stopwatch.GetElapsedTime(started) : TimeSpan.Zero;

    /// <summary>By <see cref="Stopwatch.GetTimestamp"/>.</summary>
    public long EnqueuedAt { get; } = Stopwatch.GetTimestamp();

    /// <summary>The decoding thread has taken it up.</summary>
    public bool Started => Volatile.Read(ref _startedAt) > 0;

    /// <summary>From enqueueing to the first step; so far, while it still waits.</summary>
    public TimeSpan QueueTime => Stopwatch.GetElapsedTime(
        EnqueuedAt, Volatile.Read(ref _startedAt) is var started and > 0 ? started : Stopwatch.GetTimestamp());

    /// <summary>Completes after the last choice, or with the exception that ended the job early.</summary>
    public ChannelReader<GenerationEvent> Events => _events.Reader;

    /// <summary>Completes when the decoding thread has let the job go: from then on nothing comes.</summary>
    public Task Released => _released.Task;

    /// <summary>What the decoding thread told after <see cref="End"/>: the step that it was in then, and its choice's end.</summary>
    public IReadOnlyCollection<GenerationEvent> Late => _late;

    /// <summary>Nobody waits for more: finished, failed or given up.</summary>
    public bool Ended => Volatile.Read(ref _ended);

    /// <summary>The decoding thread takes it up.</summary>
    public void Start() => Volatile.Write(ref _startedAt, Stopwatch.GetTimestamp());

    public void Send(GenerationEvent item)
    {
        Progress.Follow(item);
        if (!_events.Writer.TryWrite(item))
        {
            _late.Enqueue(item);
        }

        if (_events.Reader.Count > Volatile.Read(ref _mostUnread) && Interlocked.Exchange(ref _giveUp, null) is { } giveUp)
        {
            End(new OperationCanceledException("The client does not read."));
            ThreadPool.UnsafeQueueUserWorkItem(static act => act(), giveUp, preferLocal: false);
        }
    }

    /// <summary>
    /// The decoding thread does not wait for a client that reads slowly: its events wait in memory. Beyond <paramref name="mostUnread"/>
    /// the job ends, and <paramref name="giveUp"/> is called on another thread.
    /// </summary>
    public void Bound(int mostUnread, Action giveUp)
    {
        _giveUp = giveUp;
        Volatile.Write(ref _mostUnread, mostUnread);
    }

    /// <summary>
    /// Nobody waits for more, but the events of the step that is under way still come: the decoding thread ends the job when it lets it go.
    /// </summary>
    public void Abandon() => Volatile.Write(ref _ended, true);

    /// <summary>The decoding thread, which had taken it up, is done with it.</summary>
    public void Release() => _released.TrySetResult();

    /// <summary>Ends the job; events already sent can still be read.</summary>
    /// <param name="error">Why, if it did not finish: an <see cref="ApiException"/> is told to the client.</param>
    public void End(Exception? error = null)
    {
        // In this order, so that a choice's end that comes of the second is not read before the reason.
        _events.Writer.TryComplete(error);
        Volatile.Write(ref _ended, true);
    }
}
