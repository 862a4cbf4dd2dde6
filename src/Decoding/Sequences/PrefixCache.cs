using Understory.Decoding.Drafters;
using Understory.Models.Architecture;

namespace Understory.Decoding.Sequences;

/// <summary>KV caches of one token sequence, target and draft, and which tokens they hold.</summary>
public sealed class CacheEntry : IDisposable
{
    public required KvCache Target { get; init; }

    public DraftCache? Draft { get; init; }

    /// <summary>Tokens whose keys and values <see cref="Target"/> holds, in order.</summary>
    public List<int> Tokens { get; } = [];

    /// <summary>Most tokens it ever held: memory that was touched stays taken.</summary>
    public int HighWater { get; set; }

    public long LastUse { get; set; }

    public void Dispose()
    {
        Target.Dispose();
        Draft?.Dispose();
    }
}

/// <summary>
/// Remembers the KV caches of finished sequences. A new prompt takes up the one that shares the longest prefix with it: in
/// place where the prompt continues it, else by a copy while the budget lasts. Cached keys and values are the bits that a prefill would
/// compute.
/// </summary>
public sealed class PrefixCache : IDisposable
{
    /// <summary>Shorter common prefixes are not worth a copy.</summary>
    private const int WorthCopying = 32;

    private readonly Func<CacheEntry> _create;
    private readonly long _budget;
    private readonly Func<int, long> _bytesFor;
    private readonly List<CacheEntry> _entries = [];
    private long _clock;

    /// <param name="create">Makes an empty entry.</param>
    /// <param name="budget">Bytes that all entries together may hold; one entry is always allowed. 0: nothing is reused.</param>
    /// <param name="bytesFor">Bytes of memory that an entry takes for so many tokens.</param>
    public PrefixCache(Func<CacheEntry> create, long budget, Func<int, long> bytesFor)
    {
        _create = create;
        _budget = budget;
        _bytesFor = bytesFor;
    }

    /// <summary>Tokens held by all entries.</summary>
    public int HeldTokens => _entries.Sum(entry => entry.Tokens.Count);

    /// <summary>
    /// Takes out an entry for a prompt; its caches hold the first <paramref name="shared"/> tokens of it.
    /// </summary>
    /// <param name="reserve">Tokens that the sequence may come to hold.</param>
    /// <param name="reuse">False: nothing is shared, for those who need every position computed.</param>
    public CacheEntry Take(ReadOnlySpan<int> prompt, int reserve, out int shared, bool reuse = true)
    {
        CacheEntry? best = null;
        shared = 0;
        // The last prompt token is always decoded: its logits are what the first step needs.
        ReadOnlySpan<int> reusable = _budget > 0 && reuse ? prompt[..^1] : [];
        foreach (CacheEntry entry in _entries)
        {
            // Recurrent layers go back only to where they were remembered.
            int common = entry.Target.Restorable(
                reusable.CommonPrefixLength(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(entry.Tokens)));
            if (common > shared)
            {
                shared = common;
                best = entry;
            }
        }

        bool room = HeldBytes() + _bytesFor(reserve) <= _budget;
        CacheEntry taken;
        if (best is not null && (shared == best.Tokens.Count || !room || shared < WorthCopying))
        {
            // Another conversation that only begins alike is kept, if there is a place for this one elsewhere.
            taken = shared < WorthCopying && shared < best.Tokens.Count ? Other(room, out shared) : best;
        }
        else if (best is not null)
        {
            taken = _create();
            taken.Target.CopyFrom(best.Target, shared);
            if (best.Draft is not null)
            {
                taken.Draft!.CopyFrom(best.Draft, shared);
            }
        }
        else
        {
            taken = Other(room, out shared);
        }

        _entries.Remove(taken);
        taken.Target.Truncate(shared);
        taken.Draft?.Truncate(shared);
        taken.Tokens.Clear();
        foreach (int token in prompt[..shared])
        {
            taken.Tokens.Add(token);
        }

        return taken;
    }

    /// <summary>Gives an entry back: it now holds <paramref name="tokens"/>. (Without a budget nobody may ask for them again.)</summary>
    public void Return(CacheEntry entry, ReadOnlySpan<int> tokens)
    {
        entry.Tokens.Clear();
        foreach (int token in _budget > 0 ? tokens : [])
        {
            entry.Tokens.Add(token);
        }

        if (entry.Draft is not null)
        {
            entry.Draft.Committed = Math.Min(entry.Draft.Committed, tokens.Length);
        }

        entry.HighWater = Math.Max(entry.HighWater, tokens.Length);
        entry.LastUse = ++_clock;
        _entries.Add(entry);
        while (_entries.Count > 1 && HeldBytes() > _budget)
        {
            CacheEntry oldest = _entries.MinBy(e => e.LastUse)!;
            _entries.Remove(oldest);
            oldest.Dispose();
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _entries.ForEach(entry => entry.Dispose());
        _entries.Clear();
    }

    public void Dispose() => Clear();

    private long HeldBytes() => _entries.Sum(entry => _bytesFor(entry.HighWater));

    /// <summary>An entry whose content does not matter: a new one while there is room, else the one unused for longest.</summary>
    private CacheEntry Other(bool room, out int shared)
    {
        shared = 0;
        return room || _entries.Count == 0 ? _create() : _entries.MinBy(entry => entry.LastUse)!;
    }
}
