using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Understory.Models.Kernels.Cpu.Products;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Attention;

/// <summary>
/// Softmax attention. An item is a tile of queries (rows times the heads of a group) that share a key-value head and are taken through its
/// keys and values together.
/// <list type="number">
/// <item>Scores of the prefix, two blocks of 16 slots at a time; scores of the last, partial block and of the ancestors are taken from
/// wherever their slots are.</item>
/// <item>Softmax over logical positions. Positions that a query does not see have probability 0.</item>
/// <item>Sums of values in logical order: whole blocks of the prefix in place, the others gathered, unseen ones as zeros.</item>
/// </list>
/// Every score is one dot product of two chains (where keys have scales: two for each 32 dimensions) and every output two chains over even
/// and odd positions, so a query's result depends on nothing but its own logical sequence.
/// </summary>
internal sealed unsafe class AttendJob<T>(int workers) : Job, IDisposable
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = KvLayer.BlockSlots;

    /// <summary>Bytes of keys or values to ask for ahead of their use; from there on the processor foresees the rest.</summary>
    private const int MostFetched = 32 << 10;

    /// <summary>Bytes of one layer's keys that probably stay in a cache from pass to pass.</summary>
    private const int LikelyCached = 128 << 10;

    private readonly ValueSums<T> _values = new();
    private readonly AttendScratch[] _scratch = [.. Enumerable.Range(0, workers).Select(_ => new AttendScratch())];
    private Tensor _queries;
    private Tensor _output;
    private KvLayer _layer;
    private AttentionParams _attention;
    private ForwardBatch _batch = null!;
    private int _group;
    private int _tilesPerHead;

    /// <summary>Bytes of one head's keys of 16 slots, and as many of its values.</summary>
    private nint _blockBytes;

    private delegate*<int, int, delegate*<in PanelSource, float*, nint, int, float*, void>> _scoreTiles;

    public int Items => _attention.KvHeads * _tilesPerHead;

    /// <summary>Bytes of a pair of dimensions of a block of keys, with their share of its scales.</summary>
    private int PairBytes => (int)(_blockBytes / Math.Max(1, _attention.HeadDim / 2));

    /// <summary>Multiply-adds of the attention at hand, roughly.</summary>
    public long Work { get; private set; }

    public void Set(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output)
    {
        (_queries, _layer, _attention, _batch, _output) = (queries, layer, attention, batch, output);
        _group = attention.Heads / attention.KvHeads;
        _tilesPerHead = ((batch.Count * _group) + TileTable<T>.MaxRows - 1) / TileTable<T>.MaxRows;
        _blockBytes = CacheLayout.BlockBytes(layer);
        _values.Set(layer, batch);
        switch (layer.Type)
        {
            case CacheType.Q8:
                UseTiles<ByteCache>();
                break;
            case CacheType.BF16:
                UseTiles<BFloat16Cache>();
                break;
            case CacheType.F16:
                UseTiles<Float16Cache>();
                break;
            default:
                UseTiles<Float32Cache>();
                break;
        }

        int longest = 0;
        int longestTail = 0;
        long positions = 0;
        for (int row = 0; row < batch.Count; row++)
        {
            int length = batch.Prefix[row] + batch.AncestorCount[row];
            longest = Math.Max(longest, length);
            longestTail = Math.Max(longestTail, batch.AncestorCount[row] + Lanes);
            positions += length;
        }

        Work = positions * attention.Heads * attention.HeadDim * 2;
        foreach (AttendScratch scratch in _scratch)
        {
            scratch.Reserve(TileTable<T>.MaxRows, attention.HeadDim, longest, longestTail);
        }
    }

    public override void Run(int first, int end, int worker)
    {
        AttendScratch scratch = _scratch[worker];
        for (int item = first; item < end; item++)
        {
            int kvHead = item / _tilesPerHead;
            Run(scratch, kvHead, (item - (kvHead * _tilesPerHead)) * TileTable<T>.MaxRows);
        }
    }

    public void Dispose()
    {
        foreach (AttendScratch scratch in _scratch)
        {
            scratch.Dispose();
        }
    }

    private void UseTiles<TCache>()
        where TCache : struct, ICacheType
    {
        _scoreTiles = &TileTable<T>.Sum<Keys<TCache>>;
        _values.UseTiles<TCache>();
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Run(AttendScratch scratch, int kvHead, int firstQuery)
    {
        int count = Math.Min(TileTable<T>.MaxRows, (_batch.Count * _group) - firstQuery);
        Span<AttendQuery> queries = scratch.Queries.AsSpan(0, count);
        for (int i = 0; i < count; i++)
        {
            int row = (firstQuery + i) / _group;
            int head = (kvHead * _group) + ((firstQuery + i) % _group);
            queries[i] = new AttendQuery(row, head * _attention.HeadDim, _batch.Prefix[row], _batch.AncestorCount[row], _attention.Window);
            float* query = (float*)_queries.Data + ((long)row * _queries.Stride) + queries[i].Column;
            float* scaled = scratch.Scaled + (i * _attention.HeadDim);
            for (int d = 0; d < _attention.HeadDim; d++)
            {
                scaled[d] = query[d] * _attention.Scale;
            }
        }

        byte* keys = CacheLayout.KeyBlock(_layer, kvHead, 0);
        byte* values = CacheLayout.ValueBlock(_layer, kvHead, 0);
        nint fetched = 0;
        long headBytes = (long)queries[0].WholeEnd * _blockBytes;
        if (headBytes * _attention.KvHeads > LikelyCached)
        {
            fetched = (nint)Math.Min(headBytes, MostFetched);
        }

        Fetch(values, fetched);
        ScorePrefix(scratch, queries, keys);
        ScoreTails(scratch, queries, keys);
        Fetch(keys + (_layer.Slots / Lanes * _blockBytes), kvHead + 1 < _attention.KvHeads ? fetched : 0);
        for (int i = 0; i < count; i++)
        {
            if (_attention.SoftCap != 0)
            {
                Cap(scratch.Scores + (i * scratch.ScoreStride) - scratch.ScoreBase, queries[i]);
            }

            float sink = _attention.Sinks.Data == 0
                ? float.NegativeInfinity : ((float*)_attention.Sinks.Data)[queries[i].Column / _attention.HeadDim];
            queries[i].Total = Softmax(scratch.Scores + (i * scratch.ScoreStride) - scratch.ScoreBase, queries[i], sink);
        }

        _values.Sum(scratch, queries, values);
        for (int i = 0; i < count; i++)
        {
            Finish(scratch.Chains + (i * scratch.ChainStride), queries[i]);
        }
    }

    private static void Fetch(byte* first, nint bytes)
    {
        if (Sse.IsSupported)
        {
            for (byte* end = first + bytes; first < end; first += 64)
            {
                Sse.Prefetch1(first);
            }
        }
    }

    /// <summary>Scores of all queries for the whole blocks that any of them reads in place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScorePrefix(AttendScratch scratch, ReadOnlySpan<AttendQuery> queries, byte* keys)
    {
        int first = int.MaxValue;
        int end = 0;
        foreach (ref readonly AttendQuery query in queries)
        {
            first = Math.Min(first, query.FirstBlock);
            end = Math.Max(end, query.WholeEnd);
        }

        scratch.ScoreBase = first * Lanes;
        int most = TileTable<T>.PanelBlocks(queries.Length, fromMemory: false);
        int blocks;
        for (int block = first; block < end; block += blocks)
        {
            blocks = TileTable<T>.NextPanel(end - block, most);
            float* sums = scratch.Sums;
            PanelSource panel = PanelSource.Adjacent(keys + (block * _blockBytes), _blockBytes, blocks, PairBytes);
            _scoreTiles(queries.Length, blocks)(panel, scratch.Scaled, _attention.HeadDim, _attention.HeadDim, sums);
            float* scores = scratch.Scores + ((block - first) * Lanes);
            for (int i = 0; i < queries.Length; i++, scores += scratch.ScoreStride)
            {
                for (int b = 0; b < blocks; b++, sums += Lanes)
                {
                    T.Load(sums).Store(scores + (b * Lanes));
                }
            }
        }
    }

    /// <summary>Scores of the positions behind the whole blocks, block of slots by block of slots.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void ScoreTails(AttendScratch scratch, ReadOnlySpan<AttendQuery> queries, byte* keys)
    {
        var tile = _scoreTiles(queries.Length, 1);
        int known = 0;
        for (int i = 0; i < queries.Length; i++)
        {
            float* scores = scratch.Scores + (i * scratch.ScoreStride) - scratch.ScoreBase;
            int at = 0;
            for (int position = queries[i].WholeEnd * Lanes; position < queries[i].Length; position++)
            {
                int slot = queries[i].Slot(_batch, position);
                int block = slot / Lanes;
                if (at >= known || scratch.TailBlocks[at] != block)
                {
                    at = Array.IndexOf(scratch.TailBlocks, block, 0, known);
                    if (at < 0)
                    {
                        at = known++;
                        scratch.TailBlocks[at] = block;
                        float* sums = scratch.TailScores + (at * TileTable<T>.MaxRows * Lanes);
                        PanelSource panel = PanelSource.Adjacent(keys + (block * _blockBytes), _blockBytes, 1, PairBytes);
                        tile(panel, scratch.Scaled, _attention.HeadDim, _attention.HeadDim, sums);
                    }
                }

                scores[position] = scratch.TailScores[(((at * TileTable<T>.MaxRows) + i) * Lanes) + (slot % Lanes)];
            }
        }
    }

    private void Cap(float* scores, in AttendQuery query)
    {
        int first = query.FirstBlock * Lanes;
        CapJob<T>.Apply(scores + first, query.Length - first, 1, _attention.SoftCap);
    }

    /// <summary>Replaces the scores by probabilities, not yet divided by their sum, which it returns: NaN where a score is.</summary>
    /// <param name="sink">A score without a value, whose probability is in the sum; -infinity: none.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Softmax(float* scores, in AttendQuery query, float sink)
    {
        int first = query.FirstBlock * Lanes;
        int end = (query.Length + Lanes - 1) / Lanes * Lanes;
        for (int position = first; position < query.Start; position++)
        {
            scores[position] = float.NegativeInfinity;
        }

        for (int position = query.Length; position < end; position++)
        {
            scores[position] = float.NegativeInfinity;
        }

        // Neither a maximum nor an exponential hands NaN on.
        T largest = T.Broadcast(sink);
        T numbers = T.BroadcastBits(uint.MaxValue);
        for (int position = first; position < end; position += Lanes)
        {
            T score = T.Load(scores + position);
            largest = T.Max(largest, score);
            numbers &= T.GreaterOrEqual(score, score);
        }

        T max = T.Broadcast(largest.Largest());
        T total = default;
        for (int position = first; position < end; position += Lanes)
        {
            T probability = VectorMath.Exp(T.Load(scores + position) - max);
            probability.Store(scores + position);
            total += probability;
        }

        float sum = total.Sum();
        if (sink > float.NegativeInfinity)
        {
            // Every lane has the same.
            sum += VectorMath.Exp(T.Broadcast(sink) - max).Largest();
        }

        return numbers.TopBits() == ushort.MaxValue ? sum : float.NaN;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Finish(float* chains, in AttendQuery query)
    {
        float* output = (float*)_output.Data + ((long)query.Row * _output.Stride) + query.Column;
        T scale = T.Broadcast(1 / query.Total);
        for (int d = 0; d < _attention.HeadDim; d += Lanes, chains += 2 * Lanes)
        {
            T value = (T.Load(chains) + T.Load(chains + Lanes)) * scale;
            if (_attention.HeadDim - d >= Lanes)
            {
                value.Store(output + d);
            }
            else
            {
                VectorMath.StorePart(value, output + d, _attention.HeadDim - d);
            }
        }
    }
}
