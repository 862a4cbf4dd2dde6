using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using Understory.Models.Kernels.Cpu.Products;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Attention;

/// <summary>
/// Softmax attention. An item is a tile of queries (rows times the heads of a group) that share a key-value head and are taken through its keys
/// and values together.
/// <list type="number">
/// <item>Scores of the prefix, two blocks of 16 slots at a time; scores of the last, partial block and of the ancestors are taken from wherever their slots are.</item>
/// <item>Softmax over logical positions. Positions that a query does not see have probability 0.</item>
/// <item>Sums of values in logical order: whole blocks of the prefix in place, the others gathered, unseen ones as zeros.</item>
/// </list>
/// Every score is one dot product of two chains and every output two chains over even and odd positions, so a query's result depends on nothing but
/// its own logical sequence.
/// </summary>
internal sealed unsafe class AttendJob<T>(int workers) : Job, IDisposable
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = KvLayer.BlockSlots;

    /// <summary>Bytes of keys or values to ask for ahead of their use; from there on the processor foresees the rest.</summary>
    private const int MostFetched = 32 << 10;

    /// <summary>Bytes of one layer's keys that probably stay in a cache from pass to pass.</summary>
    private const int LikelyCached = 128 << 10;

    private readonly AttendScratch[] _scratch = [.. Enumerable.Range(0, workers).Select(_ => new AttendScratch())];
    private Tensor _queries;
    private Tensor _output;
    private KvLayer _layer;
    private AttentionParams _attention;
    private ForwardBatch _batch = null!;
    private int _group;
    private int _tilesPerHead;
    private int _elementBytes;
    private delegate*<int, int, delegate*<in PanelSource, float*, nint, int, float*, void>> _scoreTiles;
    private delegate*<int, int, delegate*<byte*, nint, nint, float*, nint, int, float*, nint, void>> _valueTiles;

    public int Items => _attention.KvHeads * _tilesPerHead;

    /// <summary>Multiply-adds of the attention at hand, roughly.</summary>
    public long Work { get; private set; }

    public void Set(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output)
    {
        (_queries, _layer, _attention, _batch, _output) = (queries, layer, attention, batch, output);
        _group = attention.Heads / attention.KvHeads;
        _tilesPerHead = ((batch.Count * _group) + TileTable<T>.MaxRows - 1) / TileTable<T>.MaxRows;
        _elementBytes = layer.Type.Size();
        switch (layer.Type)
        {
            case DType.BF16:
                UseTiles<BFloat16Cache>();
                break;
            case DType.F16:
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
        _valueTiles = &TileTable<T>.Continue<Values<TCache>>;
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

        byte* keys = (byte*)_layer.Keys + (CacheLayout.KeyIndex(_layer, kvHead, 0, 0) * _elementBytes);
        byte* values = (byte*)_layer.Values + (CacheLayout.ValueIndex(_layer, kvHead, 0, 0) * _elementBytes);
        nint fetched = 0;
        long headBytes = (long)queries[0].WholeEnd * Lanes * _attention.HeadDim * _elementBytes;
        if (headBytes * _attention.KvHeads > LikelyCached)
        {
            fetched = (nint)Math.Min(headBytes, MostFetched);
        }

        Fetch(values, fetched);
        ScorePrefix(scratch, queries, keys);
        ScoreTails(scratch, queries, keys);
        Fetch(keys + (long)_layer.Slots * _attention.HeadDim * _elementBytes, kvHead + 1 < _attention.KvHeads ? fetched : 0);
        for (int i = 0; i < count; i++)
        {
            if (_attention.SoftCap != 0)
            {
                Cap(scratch.Scores + (i * scratch.ScoreStride) - scratch.ScoreBase, queries[i]);
            }

            queries[i].Total = Softmax(scratch.Scores + (i * scratch.ScoreStride) - scratch.ScoreBase, queries[i]);
        }

        SumValues(scratch, queries, values);
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
        nint blockBytes = _attention.HeadDim * Lanes * _elementBytes;
        int most = TileTable<T>.PanelBlocks(queries.Length, fromMemory: false);
        int blocks;
        for (int block = first; block < end; block += blocks)
        {
            blocks = TileTable<T>.NextPanel(end - block, most);
            float* sums = scratch.Sums;
            PanelSource panel = PanelSource.Adjacent(keys + (block * blockBytes), blockBytes, blocks, 2 * Lanes * _elementBytes);
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
        nint blockBytes = _attention.HeadDim * Lanes * _elementBytes;
        var tile = _scoreTiles(queries.Length, 1);
        int known = 0;
        for (int i = 0; i < queries.Length; i++)
        {
            float* scores = scratch.Scores + (i * scratch.ScoreStride) - scratch.ScoreBase;
            int at = 0;
            for (int position = queries[i].WholeEnd * Lanes; position < queries[i].Length; position++)
            {
                int slot = Slot(queries[i], position);
                int block = slot / Lanes;
                if (at >= known || scratch.TailBlocks[at] != block)
                {
                    at = Array.IndexOf(scratch.TailBlocks, block, 0, known);
                    if (at < 0)
                    {
                        at = known++;
                        scratch.TailBlocks[at] = block;
                        float* sums = scratch.TailScores + (at * TileTable<T>.MaxRows * Lanes);
                        PanelSource panel = PanelSource.Adjacent(keys + (block * blockBytes), blockBytes, 1, 2 * Lanes * _elementBytes);
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

    /// <summary>Replaces the scores by probabilities, not yet divided by their sum, which it returns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Softmax(float* scores, in AttendQuery query)
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

        T largest = T.Load(scores + first);
        for (int position = first + Lanes; position < end; position += Lanes)
        {
            largest = T.Max(largest, T.Load(scores + position));
        }

        T max = T.Broadcast(largest.Largest());
        T total = default;
        for (int position = first; position < end; position += Lanes)
        {
            T probability = VectorMath.Exp(T.Load(scores + position) - max);
            probability.Store(scores + position);
            total += probability;
        }

        return total.Sum();
    }

    private void SumValues(AttendScratch scratch, ReadOnlySpan<AttendQuery> queries, byte* values)
    {
        new Span<float>(scratch.Chains, queries.Length * scratch.ChainStride).Clear();
        bool inPlace = _attention.HeadDim % Lanes == 0;
        int first = 0;
        int end = inPlace ? int.MaxValue : 0;
        foreach (ref readonly AttendQuery query in queries)
        {
            first = Math.Max(first, query.FirstWhole);
            end = Math.Min(end, query.WholeEnd);
        }

        end = Math.Max(first, end);
        for (int i = 0; i < queries.Length; i++)
        {
            if (inPlace)
            {
                AddGathered(scratch, i, values, queries[i].FirstBlock * Lanes, queries[i].FirstWhole * Lanes);
                AddInPlace(scratch, i, 1, values, queries[i].FirstWhole, Math.Min(first, queries[i].WholeEnd));
            }
        }

        AddInPlace(scratch, 0, queries.Length, values, first, end);
        for (int i = 0; i < queries.Length; i++)
        {
            if (inPlace)
            {
                AddInPlace(scratch, i, 1, values, end, queries[i].WholeEnd);
                AddGathered(scratch, i, values, queries[i].WholeEnd * Lanes, queries[i].Length);
            }
            else
            {
                AddGathered(scratch, i, values, queries[i].FirstBlock * Lanes, queries[i].Length);
            }
        }
    }

    /// <summary>Adds the values of blocks <c>first .. end</c> to some queries' chains.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddInPlace(AttendScratch scratch, int query, int count, byte* values, int first, int end)
    {
        if (end <= first)
        {
            return;
        }

        int dims = _attention.HeadDim / Lanes;
        nint rowBytes = _attention.HeadDim * _elementBytes;
        float* probabilities = scratch.Scores + (query * scratch.ScoreStride) - scratch.ScoreBase + (first * Lanes);
        int most = TileTable<T>.PanelBlocks(count, fromMemory: false);
        int blocks;
        for (int d = 0; d < dims; d += blocks)
        {
            blocks = TileTable<T>.NextPanel(dims - d, most);
            _valueTiles(count, blocks)(
                values + (first * Lanes * rowBytes) + (d * Lanes * _elementBytes), rowBytes, Lanes * _elementBytes, probabilities, scratch.ScoreStride,
                (end - first) * Lanes, scratch.Chains + (query * scratch.ChainStride) + (d * 2 * Lanes), scratch.ChainStride);
        }
    }

    /// <summary>Adds the values of positions <c>first .. end</c>, wherever they are, to one query's chains.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddGathered(AttendScratch scratch, int query, byte* values, int first, int end)
    {
        ref AttendQuery sequence = ref scratch.Queries[query];
        int stride = scratch.PaddedDim;
        for (int begin = first; begin < end; begin += AttendScratch.GatheredRows)
        {
            int count = Math.Min(AttendScratch.GatheredRows, end - begin);
            int padded = (count + 1) & ~1;
            for (int i = 0; i < padded; i++)
            {
                float* row = scratch.Gathered + (i * stride);
                int position = begin + i;
                if (position >= sequence.Start && position < sequence.Length)
                {
                    Decode(values + ((long)Slot(sequence, position) * _attention.HeadDim * _elementBytes), row);
                }
                else
                {
                    new Span<float>(row, stride).Clear();
                }
            }

            float* probabilities = scratch.Scores + (query * scratch.ScoreStride) - scratch.ScoreBase + begin;
            int dims = stride / Lanes;
            int most = TileTable<T>.PanelBlocks(1, fromMemory: false);
            int blocks;
            for (int d = 0; d < dims; d += blocks)
            {
                blocks = TileTable<T>.NextPanel(dims - d, most);
                TileTable<T>.Continue<Values<Float32Cache>>(1, blocks)(
                    (byte*)(scratch.Gathered + (d * Lanes)), stride * sizeof(float), Lanes * sizeof(float), probabilities, 0,
                    padded, scratch.Chains + (query * scratch.ChainStride) + (d * 2 * Lanes), 0);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Decode(byte* value, float* row)
    {
        int d = 0;
        for (; d <= _attention.HeadDim - Lanes; d += Lanes)
        {
            (_layer.Type switch
            {
                DType.BF16 => BFloat16Cache.Load<T>(value + (d * 2)),
                DType.F16 => Float16Cache.Load<T>(value + (d * 2)),
                _ => Float32Cache.Load<T>(value + (d * 4)),
            }).Store(row + d);
        }

        for (; d < _attention.HeadDim; d++)
        {
            row[d] = Scalar.Read(_layer.Type, (nint)value, d);
        }
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private int Slot(in AttendQuery query, int position) =>
        position < query.Prefix ? position : _batch.Ancestors[(query.Row * _batch.MaxDepth) + position - query.Prefix];
}
