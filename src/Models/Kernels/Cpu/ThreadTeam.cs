using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Work in independent items. One object per kind of work, filled anew for each dispatch.</summary>
internal abstract class Job
{
    /// <summary>Does items <c>first .. end</c>. Called by several threads at once, for different items.</summary>
    /// <param name="worker">The calling thread's number, 0 .. threads - 1: for scratch memory.</param>
    public abstract void Run(int first, int end, int worker);
}

/// <summary>
/// Threads that share the items of a job; the caller is one of them.
/// Each thread has a range of its own, the same for the same job every time (so its part of a small model stays in its own cache), takes
/// it in pieces, and then helps with the others' ranges. A thread that the system has put aside therefore holds nobody up: the caller waits
/// only for threads that have begun. After a job threads spin for some microseconds, then yield, then sleep.
/// One dispatch at a time; dispatching allocates nothing.
/// </summary>
internal sealed class ThreadTeam : IDisposable
{
    private const long Open = 1L << 31;
    private const long Joined = Open - 1;

    private static readonly long SpinTicks = Stopwatch.Frequency * 20 / 1_000_000;
    private static readonly long YieldTicks = Stopwatch.Frequency * 120 / 1_000_000;

    private readonly Thread[] _threads;
    private readonly Sleeper[] _sleepers;
    private readonly PaddedCounter[] _next;
    private PaddedCounter _state;
    private Job? _job;
    private Exception? _error;
    private int _items;
    private int _grain;
    private bool _stop;

    /// <param name="threads">Threads in all, the caller's included.</param>
    public ThreadTeam(int threads)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(threads);
        Threads = threads;
        _next = new PaddedCounter[threads];
        _sleepers = new Sleeper[threads - 1];
        _threads = new Thread[threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _sleepers[i] = new Sleeper();
            _threads[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"kernels {worker}" };
            _threads[i].Start();
        }
    }

    public int Threads { get; }

    /// <summary>Runs items <c>0 .. items</c> of the job, in pieces of <paramref name="grain"/>, and returns when all are done.</summary>
    /// <exception cref="Exception">The first one that the job threw, on whichever thread.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(Job job, int items, int grain)
    {
        if (Threads == 1 || items <= grain)
        {
            job.Run(0, items, 0);
            return;
        }

        _job = job;
        _items = items;
        _grain = grain;
        for (int w = 0; w < Threads; w++)
        {
            _next[w].Value = First(w);
        }

        // The state holds the dispatch's number, whether it may be joined, and how many have joined and not yet left.
        long number = ((_state.Value >>> 32) + 1) << 32;
        Interlocked.Exchange(ref _state.Value, number | Open);
        foreach (Sleeper sleeper in _sleepers)
        {
            sleeper.Wake();
        }

        Share(0);
        Interlocked.And(ref _state.Value, ~Open);
        AwaitThoseWhoJoined();
        _job = null;
        if (_error is not null)
        {
            Exception error = _error;
            _error = null;
            ExceptionDispatchInfo.Throw(error);
        }
    }

    public void Dispose()
    {
        Volatile.Write(ref _stop, true);
        foreach (Sleeper sleeper in _sleepers)
        {
            sleeper.Wake();
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        foreach (Sleeper sleeper in _sleepers)
        {
            sleeper.Dispose();
        }
    }

    private int First(int worker) => (int)((long)_items * worker / Threads);

    private void Share(int worker)
    {
        Job job = _job!;
        try
        {
            for (int i = 0; i < Threads; i++)
            {
                int owner = worker + i < Threads ? worker + i : worker + i - Threads;
                int end = First(owner + 1);
                while (Volatile.Read(ref _next[owner].Value) < end)
                {
                    int first = (int)Interlocked.Add(ref _next[owner].Value, _grain) - _grain;
                    if (first < end)
                    {
                        job.Run(first, Math.Min(first + _grain, end), worker);
                    }
                }
            }
        }
#pragma warning disable CA1031 // Whatever a job throws reaches the caller, not the thread that happened to run it.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Interlocked.CompareExchange(ref _error, error, null);
        }
    }

    private void AwaitThoseWhoJoined()
    {
        long begin = 0;
        for (int polls = 0; (Volatile.Read(ref _state.Value) & Joined) != 0; polls++)
        {
            if (polls < 500)
            {
                Thread.SpinWait(1);
                continue;
            }

            begin = begin == 0 ? Stopwatch.GetTimestamp() : begin;
            if (Stopwatch.GetTimestamp() - begin > SpinTicks)
            {
                Thread.Yield();
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Work(int worker)
    {
        Sleeper sleeper = _sleepers[worker - 1];
        long last = 0;
        long idleSince = Stopwatch.GetTimestamp();
        int polls = 0;
        while (!Volatile.Read(ref _stop))
        {
            long state = Volatile.Read(ref _state.Value);
            if (IsNew(state, last))
            {
                if (Interlocked.CompareExchange(ref _state.Value, state + 1, state) == state)
                {
                    last = state >>> 32;
                    Share(worker);
                    Interlocked.Decrement(ref _state.Value);
                    idleSince = Stopwatch.GetTimestamp();
                    polls = 0;
                }

                continue;
            }

            Thread.SpinWait(1);
            if ((++polls & 15) != 0)
            {
                continue;
            }

            long idle = Stopwatch.GetTimestamp() - idleSince;
            if (idle > YieldTicks)
            {
                if (sleeper.Announce())
                {
                    // Looked at again after the announcement: a dispatch either sees the announcement or is seen here.
                    sleeper.Sleep(unless: IsNew(Volatile.Read(ref _state.Value), last) || Volatile.Read(ref _stop));
                }

                idleSince = Stopwatch.GetTimestamp();
            }
            else if (idle > SpinTicks)
            {
                Thread.Yield();
            }
        }
    }

    private static bool IsNew(long state, long last) => (state & Open) != 0 && state >>> 32 != last;

    /// <summary>A counter on cache lines of its own (adjacent lines are fetched in pairs).</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct PaddedCounter
    {
        [FieldOffset(128)]
        public long Value;
    }

    /// <summary>Where one thread sleeps when there has been no work for a while.</summary>
    private sealed class Sleeper : IDisposable
    {
        private readonly AutoResetEvent _wake = new(false);
        private int _sleeping;

        public bool Announce() => Interlocked.Exchange(ref _sleeping, 1) == 0;

        public void Sleep(bool unless)
        {
            // Where Wake has taken the announcement back already, its signal must be consumed.
            if (!unless || Interlocked.Exchange(ref _sleeping, 0) == 0)
            {
                _wake.WaitOne();
            }
        }

        public void Wake()
        {
            if (Volatile.Read(ref _sleeping) == 1 && Interlocked.Exchange(ref _sleeping, 0) == 1)
            {
                _wake.Set();
            }
        }

        public void Dispose() => _wake.Dispose();
    }
}
