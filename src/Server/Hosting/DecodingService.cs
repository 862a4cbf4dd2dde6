using System.Diagnostics;
using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Server.Wire;

namespace Understory.Server.Hosting;

/// <summary>
/// The decoding thread: loads the model, then takes one job after another from the queue. Nothing else touches the
/// <see cref="DecodingLoop"/>; everything goes out through the jobs' channels.
/// </summary>
public sealed class DecodingService
{
    private readonly RequestQueue _queue;
    private readonly Func<Action<string>, LoadedModel> _load;
    private readonly ILogger<DecodingService> _log;
    private readonly TaskCompletionSource<ServedModel> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Thread _thread;
    private volatile string _stage = "starting";
    private volatile int _keptTokens;

    /// <param name="load">Loads what is to be served, on the decoding thread; tells its stages.</param>
    public DecodingService(RequestQueue queue, Func<Action<string>, LoadedModel> load, ILogger<DecodingService> log)
    {
        _queue = queue;
        _load = load;
        _log = log;
        _thread = new Thread(Run) { Name = "decoding", IsBackground = true };
    }

    /// <summary>Completes when requests are taken; fails as loading failed.</summary>
    public Task<ServedModel> Ready => _ready.Task;

    /// <summary>What is being loaded.</summary>
    public string Stage => _stage;

    /// <summary>Tokens whose keys and values are kept for later prompts.</summary>
    public int KeptTokens => _keptTokens;

    /// <exception cref="ApiException">503: still loading.</exception>
    public ServedModel Model => _ready.Task.IsCompletedSuccessfully
        ? _ready.Task.Result
        : throw ApiException.Unavailable($"The server is loading: {Stage}.", "loading");

    public void Start() => _thread.Start();

    /// <summary>From here on requests are taken.</summary>
    internal void Announce(ServedModel model)
    {
        _stage = "ready";
        _ready.SetResult(model);
    }

    /// <summary>Waits for the thread to end; it does once the queue is drained.</summary>
    public bool Join(TimeSpan limit) => !_thread.IsAlive || _thread.Join(limit);

    private void Run()
    {
        LoadedModel loaded;
        try
        {
            loaded = _load(stage => _stage = stage);
        }
        catch (Exception e)
        {
            _ready.SetException(e);
            return;
        }

        using (loaded)
        {
            Announce(loaded.Served);
            while (_queue.Take(out GenerationJob? job))
            {
                long start = Stopwatch.GetTimestamp();
                Decode(loaded.Loop, job);
                _queue.Finish(Stopwatch.GetElapsedTime(start));
            }
        }
    }

    private void Decode(DecodingLoop loop, GenerationJob job)
    {
        try
        {
            for (int choice = 0; choice < job.Choices.Count && !job.Ended; choice++)
            {
                Decode(loop, job, choice);
            }

            job.End();
        }
        catch (ApiException e)
        {
            job.End(e);
        }
        catch (Exception e)
        {
            _log.LogError(e, "Decoding failed");
            job.End(new ApiException(500, "Decoding failed; the server's log says more."));
        }
    }

    /// <summary>One choice: prefill, then step by step, until it ends or nobody wants it any more.</summary>
    private void Decode(DecodingLoop loop, GenerationJob job, int choice)
    {
        Sequence sequence = Begin(loop, job.Choices[choice]);
        try
        {
            var progress = new Progress(job, choice, sequence);
            while (sequence.Prefilling && !job.Ended)
            {
                loop.Step(sequence);
                progress.Tell(loop);
            }

            job.Send(new PromptRead(choice, sequence.CachedTokens));
            if (sequence.Request.PromptLogProbs && !sequence.Prefilling)
            {
                job.Send(new PromptScored(choice, sequence.PromptLogProbs));
            }

            if (sequence.Hidden is { } hidden && !sequence.Prefilling)
            {
                job.Send(new PromptEmbedded(choice, hidden.Normalized()));
            }

            while (!sequence.Finished && !job.Ended)
            {
                loop.Step(sequence);
                progress.Tell(loop);
            }

            job.Send(new ChoiceFinished(
                choice, sequence.FinishReason, sequence.PromptTokens, sequence.CachedTokens, sequence.GeneratedTokens, sequence.Statistics,
                sequence.StopString));
        }
        finally
        {
            loop.End(sequence);
            _keptTokens = loop.CachedTokens;
        }
    }

    /// <exception cref="ApiException">400: the loop refuses the request.</exception>
    private static Sequence Begin(DecodingLoop loop, GenerationRequest request)
    {
        try
        {
            return loop.Begin(request);
        }
        catch (InvalidRequestException e)
        {
            throw new ApiException(400, e.Message, e.Parameter);
        }
    }

    /// <summary>What of a sequence has been told already.</summary>
    private sealed class Progress(GenerationJob job, int choice, Sequence sequence)
    {
        private readonly bool _logProbs = job.Choices[choice].TopLogProbs >= 0;
        private int _characters;
        private int _tokens;
        private int _logProbsTold;

        public void Tell(DecodingLoop loop)
        {
            string text = sequence.TakeText();
            _characters += text.Length;
            int tokens = sequence.GeneratedTokens - _tokens;
            _tokens += tokens;
            job.Send(new StepDone(choice, text, tokens, _logProbs ? TakeLogProbs() : [], loop.LastStep, Stopwatch.GetTimestamp())
            {
                Speculation = loop.LastTree is { } tree
                    ? new(sequence.Statistics.TargetPasses, sequence.Trace!.Take(text, sequence.Finished), tree)
                    : null,
            });
        }

        /// <summary>Those whose text is out: a token that is held back may still fall to a stop string.</summary>
        private List<TokenLogProb> TakeLogProbs()
        {
            var taken = new List<TokenLogProb>();
            while (_logProbsTold < sequence.LogProbs.Count
                && (sequence.Finished || sequence.LogProbs[_logProbsTold].TextOffset < _characters))
            {
                taken.Add(sequence.LogProbs[_logProbsTold++]);
            }

            return taken;
        }
    }
}
