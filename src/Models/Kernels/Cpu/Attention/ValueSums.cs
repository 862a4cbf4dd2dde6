using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Products;
using Understory.Models.Kernels.Cpu.Vectors;

namespace Understory.Models.Kernels.Cpu.Attention;

/// <summary>
/// Sums of values times probabilities, in logical order: whole blocks of the prefix in place, the others gathered. Where there are scales
/// they go into the probabilities, in place and gathered alike: <c>sum over positions of (p d) q</c>.
/// </summary>
internal sealed unsafe class ValueSums<T>
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = KvLayer.BlockSlots;

    private KvLayer _layer;
    private ForwardBatch _batch = null!;

    /// <summary>Bytes of 16 slots of one head.</summary>
    private nint _blockBytes;

    /// <summary>Bytes of 16 elements.</summary>
    private nint _laneBytes;

    /// <summary>Bytes of one block's scales of the same dimensions; 0: there are none.</summary>
    private nint _scaleBytes;

    /// <summary>Bytes of one block's scales.</summary>
    private nint _blockScaleBytes;

    private delegate*<int, int, delegate*<in ValueSource, float*, nint, int, float*, nint, void>> _tiles;
    private delegate*<byte*, int, float*, void> _decode;

    public void Set(in KvLayer layer, ForwardBatch batch)
    {
        (_layer, _batch) = (layer, batch);
        _blockBytes = CacheLayout.BlockBytes(layer);
        _laneBytes = Lanes * CacheLayout.ElementBytes(layer.Type);
        _scaleBytes = CacheLayout.ScaleBytes(layer.Type);
        _blockScaleBytes = layer.Type.Scales(layer.HeadDim) * _scaleBytes;
    }

    public void UseTiles<TCache>()
        where TCache : struct, ICacheType
    {
        _tiles = &TileTable<T>.Continue<Values<TCache>>;
        _decode = &Decode<TCache>;
    }

    /// <summary>Leaves the sums of the values of one key-value head in the chains of some queries.</summary>
    /// <param name="values">The head's.</param>
    public void Sum(AttendScratch scratch, ReadOnlySpan<AttendQuery> queries, byte* values)
    {
        new Span<float>(scratch.Chains, queries.Length * scratch.ChainStride).Clear();
        bool inPlace = _layer.HeadDim % Lanes == 0;
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
    private void AddInPlace(AttendScratch scratch, int query, int count, byte* values, int first, int end)
    {
        float* probabilities = scratch.Scores + (query * scratch.ScoreStride) - scratch.ScoreBase;
        int together = _scaleBytes == 0 ? int.MaxValue : AttendScratch.WeighedSlots / Lanes;
        int blocks;
        for (int block = first; block < end; block += blocks)
        {
            blocks = Math.Min(end - block, together);
            byte* scales = values + (block * _blockBytes);
            var source = new ValueSource(scales + _blockScaleBytes, _layer.HeadDim / Lanes * _laneBytes, _laneBytes, _blockScaleBytes);
            AddValues(scratch, query, count, _tiles, source, scales, _blockBytes, probabilities + (block * Lanes), blocks * Lanes);
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
                ushort* scales = (ushort*)(scratch.GatheredScales + (i / Lanes * _blockScaleBytes)) + (i % Lanes);
                int position = begin + i;
                bool seen = position >= sequence.Start && position < sequence.Length;
                int slot = seen ? sequence.Slot(_batch, position) : 0;
                byte* block = values + (slot / Lanes * _blockBytes);
                if (seen)
                {
                    _decode(block + _blockScaleBytes + (slot % Lanes * _layer.HeadDim * (_laneBytes / Lanes)), _layer.HeadDim, row);
                }
                else
                {
                    new Span<float>(row, stride).Clear();
                }

                for (nint at = 0; at < _blockScaleBytes; at += _scaleBytes)
                {
                    scales[at / sizeof(ushort)] = seen ? ((ushort*)(block + at))[slot % Lanes] : (ushort)0;
                }
            }

            float* probabilities = scratch.Scores + (query * scratch.ScoreStride) - scratch.ScoreBase + begin;
            var source = new ValueSource((byte*)scratch.Gathered, stride * sizeof(float), Lanes * sizeof(float));
            AddValues(
                scratch, query, 1, &TileTable<T>.Continue<Values<Float32Cache>>,
                source, scratch.GatheredScales, _blockScaleBytes, probabilities, padded);
        }
    }

    /// <summary>
    /// Goes on with some queries' chains over some more values, in all dimensions: <c>chain += p v</c>, or with scales
    /// <c>chain += (p d) q</c>.
    /// </summary>
    /// <param name="scales">Those of 16 slots, <paramref name="scaleStride"/> bytes to the next ones'.</param>
    /// <param name="probabilities">The first query's.</param>
    /// <param name="slots">An even number.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void AddValues(
        AttendScratch scratch, int query, int count,
        delegate*<int, int, delegate*<in ValueSource, float*, nint, int, float*, nint, void>> tiles,
        in ValueSource values, byte* scales, nint scaleStride, float* probabilities, int slots)
    {
        float* weights = probabilities;
        int stride = scratch.ScoreStride;
        int dims = scratch.PaddedDim / Lanes;
        int most = TileTable<T>.PanelBlocks(count, fromMemory: false);
        if (_scaleBytes > 0)
        {
            // A panel of 32 dimensions at most has one scale for each slot.
            most = Math.Min(most, CacheTypes.ScaledDims / Lanes);
            weights = scratch.Weighed;
            stride = AttendScratch.WeighedSlots;
        }

        int blocks;
        for (int d = 0; d < dims; d += blocks)
        {
            blocks = TileTable<T>.NextPanel(dims - d, most);
            if (_scaleBytes > 0)
            {
                byte* first = scales + (d * Lanes / CacheTypes.ScaledDims * _scaleBytes);
                Weigh(probabilities, scratch.ScoreStride, count, first, scaleStride, slots, weights);
            }

            var panel = new ValueSource(values.First + (d * values.BlockStride), values.RowBytes, values.BlockStride, values.Gap);
            float* chains = scratch.Chains + (query * scratch.ChainStride) + (d * 2 * Lanes);
            tiles(count, blocks)(panel, weights, stride, slots, chains, scratch.ChainStride);
        }
    }

    /// <summary>Some queries' probabilities times the slots' scales.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Weigh(float* probabilities, nint stride, int count, byte* scales, nint scaleStride, int slots, float* weighed)
    {
        for (int slot = 0; slot < slots; slot += Lanes, scales += scaleStride)
        {
            T d = ByteScales.Load<T>(scales);
            for (int i = 0; i < count; i++)
            {
                (T.Load(probabilities + (i * stride) + slot) * d).Store(weighed + (i * AttendScratch.WeighedSlots) + slot);
            }
        }
    }

    /// <summary>A value's elements as floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Decode<TCache>(byte* value, int dims, float* row)
        where TCache : struct, ICacheType
    {
        int d = 0;
        for (; d <= dims - Lanes; d += Lanes)
        {
            TCache.Load<T>(value + (d * TCache.Bytes)).Store(row + d);
        }

        if (d < dims)
        {
            byte* part = stackalloc byte[Lanes * sizeof(float)];
            int bytes = (dims - d) * TCache.Bytes;
            Buffer.MemoryCopy(value + (d * TCache.Bytes), part, bytes, bytes);
            TCache.Load<T>(part).Store(row + d);
        }
    }
}
