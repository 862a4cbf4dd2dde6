using System.Diagnostics.CodeAnalysis;
using Understory.Server.Wire;

namespace Understory.Server.Hosting;

/// <summary>
/// First come, first served, in front of the one decoding thread: bounded, so that a crowd is told to come back instead of piling up.
/// </summary>
/// <param name="places">Jobs that may wait beside the running one.</param>
public sealed class RequestQueue(int places)
{
    // A plain object: the decoding thread waits on its monitor.
    private readonly object _lock = new();
    private readonly LinkedList<GenerationJob> _waiting = new();
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private GenerationJob? _running;
    private bool _draining;

    /// <summary>Jobs that wait.</summary>
    public int Depth
    {
        get
        {
            lock (_lock)
            {
                return _waiting.Count;
            }
        }
    }

    /// <summary>A job has been taken and is not over.</summary>
    public bool Running
    {
        get
        {
            lock (_lock)
            {
                return _running is not null;
            }
        }
    }

    /// <summary>What runs and what waits at this moment, the next one first.</summary>
    public (GenerationJob? Running, IReadOnlyList<GenerationJob> Waiting) View()
    {
        lock (_lock)
        {
            return (_running, [.. _waiting]);
        }
    }

    public bool Draining
    {
        get
        {
            lock (_lock)
            {
                return _draining;
            }
        }
    }

    /// <summary>Seconds after which a refused client should try again: a running average of how long a job takes.</summary>
    public double SecondsPerJob { get; private set; } = 1;

    /// <exception cref="ApiException">429: no place left. 503: the server is going down.</exception>
    public void Enqueue(GenerationJob job)
    {
        lock (_lock)
        {
            if (_draining)
            {
                throw GoingDown();
            }

            // A job that has arrived and that an idle decoding thread is about to take does not wait.
            if (_waiting.Count + (_running is null ? 0 : 1) > places)
            {
                throw new ApiException(429, $"{_waiting.Count} requests are waiting already, which is all that fit; try again later.",
                    code: "queue_full")
                {
                    RetryAfter = (int)Math.Clamp(Math.Ceiling(SecondsPerJob), 1, 60),
                };
            }

            _waiting.AddLast(job);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>
    /// Waits for the next job that somebody still wants. One thread takes, and calls <see cref="Finish"/> before it takes again.
    /// </summary>
    /// <returns>False once the queue is drained.</returns>
    public bool Take([NotNullWhen(true)] out GenerationJob? job)
    {
        lock (_lock)
        {
            while (_waiting.Count == 0 && !_draining)
            {
                Monitor.Wait(_lock);
            }

            job = _waiting.First?.Value;
            if (job is null)
            {
                return false;
            }

            _waiting.RemoveFirst();
            _running = job;
            job.Start();
            return true;
        }
    }

    /// <summary>The job taken last is over.</summary>
    public void Finish(TimeSpan duration)
    {
        lock (_lock)
        {
            _running?.Release();
            _running = null;
            SecondsPerJob += 0.2 * (duration.TotalSeconds - SecondsPerJob);
            SettleIdle();
        }
    }

    /// <summary>Gives up a job's place, if it still waits.</summary>
    public void Remove(GenerationJob job)
    {
        lock (_lock)
        {
            _waiting.Remove(job);
        }
    }

    /// <summary>From here on nothing is accepted; what waits is refused; what runs goes on.</summary>
    /// <returns>Completes when nothing runs.</returns>
    public Task DrainAsync()
    {
        lock (_lock)
        {
            if (!_draining)
            {
                _draining = true;
                foreach (GenerationJob job in _waiting)
                {
                    job.End(GoingDown());
                }

                _waiting.Clear();
                Monitor.PulseAll(_lock);
                SettleIdle();
            }
        }

        return _idle.Task;
    }

    /// <summary>Ends the running job.</summary>
    public void Interrupt()
    {
        lock (_lock)
        {
            _running?.End(GoingDown());
        }
    }

    private void SettleIdle()
    {
        if (_draining && _running is null)
        {
            _idle.TrySetResult();
        }
    }

    private static ApiException GoingDown() => ApiException.Unavailable("The server is shutting down.", "shutting_down");
}
