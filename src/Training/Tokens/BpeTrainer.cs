using System.Runtime.InteropServices;
using System.Text;

namespace Understory.Training.Tokens;

/// <summary>
/// Learns byte-pair merges (Sennrich, Haddow, Birch 2016): the pair of neighbours that occurs most often becomes a token, again and again.
/// Pairs that occur equally often go by their ids, so that the same texts give the same tokens. Only words that hold the merged pair are
/// looked at.
/// </summary>
internal sealed class BpeTrainer
{
    private readonly List<(int[] Symbols, long Count)> _words = [];
    private readonly Dictionary<(int Left, int Right), long> _counts = [];
    private readonly Dictionary<(int Left, int Right), HashSet<int>> _places = [];
    private readonly PriorityQueue<(int Left, int Right), (long Count, int Left, int Right)> _queue = new();
    private readonly HashSet<(int Left, int Right)> _changed = [];

    private BpeTrainer(IReadOnlyDictionary<string, long> words, int firstByte)
    {
        foreach ((string word, long count) in words.OrderBy(word => word.Key, StringComparer.Ordinal))
        {
            byte[] bytes = Encoding.UTF8.GetBytes(word);
            if (bytes.Length > 1)
            {
                _words.Add((Array.ConvertAll(bytes, value => firstByte + value), count));
                Count(_words.Count - 1, count);
            }
        }

        Enqueue();
    }

    /// <param name="words">Words and how often each occurs.</param>
    /// <param name="size">Tokens in all; fewer come where no pair occurs twice any more.</param>
    /// <param name="specials">They get the first ids.</param>
    public static ByteLevelBpe Train(IReadOnlyDictionary<string, long> words, int size, IReadOnlyList<string> specials)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, specials.Count + 256);
        var trainer = new BpeTrainer(words, specials.Count);
        var merges = new List<(int Left, int Right)>();
        while (specials.Count + 256 + merges.Count < size && trainer.Next() is { } pair)
        {
            trainer.Merge(pair, specials.Count + 256 + merges.Count);
            merges.Add(pair);
        }

        return new ByteLevelBpe(specials, merges);
    }

    /// <summary>The pair that occurs most often, and at least twice.</summary>
    private (int Left, int Right)? Next()
    {
        while (_queue.TryDequeue(out (int, int) pair, out (long Count, int, int) rank))
        {
            // Counts change while a pair waits; then it was put in again.
            if (_counts.GetValueOrDefault(pair) == -rank.Count && -rank.Count > 1)
            {
                return pair;
            }
        }

        return null;
    }

    private void Merge((int Left, int Right) pair, int merged)
    {
        // The set changes while its words are counted anew.
        foreach (int word in (int[])[.. _places[pair]])
        {
            (int[] symbols, long count) = _words[word];
            Count(word, -count);
            _words[word] = (Replace(symbols, pair, merged), count);
            Count(word, count);
        }

        Enqueue();
    }

    private void Count(int word, long count)
    {
        int[] symbols = _words[word].Symbols;
        for (int i = 1; i < symbols.Length; i++)
        {
            (int, int) pair = (symbols[i - 1], symbols[i]);
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, pair, out _) += count;
            HashSet<int> places = CollectionsMarshal.GetValueRefOrAddDefault(_places, pair, out _) ??= [];
            _ = count > 0 ? places.Add(word) : places.Remove(word);
            _changed.Add(pair);
        }
    }

    private void Enqueue()
    {
        foreach ((int Left, int Right) pair in _changed)
        {
            if (_counts[pair] > 1)
            {
                _queue.Enqueue(pair, (-_counts[pair], pair.Left, pair.Right));
            }
        }

        _changed.Clear();
    }

    private static int[] Replace(int[] symbols, (int Left, int Right) pair, int merged)
    {
        var result = new List<int>(symbols.Length);
        for (int i = 0; i < symbols.Length; i++)
        {
            bool isPair = i + 1 < symbols.Length && (symbols[i], symbols[i + 1]) == pair;
            result.Add(isPair ? merged : symbols[i]);
            i += isPair ? 1 : 0;
        }

        return [.. result];
    }
}
