using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Attention;

/// <summary>Norms and rotation of heads, and the way of keys and values into the cache: an item is a row.</summary>
internal sealed unsafe class StoreJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private Tensor _qkv;
    private int _heads;
    private RotaryParams _rotary;
    private KvLayer _layer;
    private ForwardBatch _batch = null!;

    public void Set(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch)
    {
        (_qkv, _heads, _rotary, _layer, _batch) = (qkv, heads, rotary, layer, batch);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            float* qkv = (float*)_qkv.Data + ((long)row * _qkv.Stride);
            float* keys = qkv + (_heads * _layer.HeadDim);
            float* values = keys + (_layer.KvHeads * _layer.HeadDim);
            ReadyValues(keys, values);
            Turn(qkv, _heads, _rotary.QueryNorm, _batch.Positions[row]);
            Turn(keys, _layer.KvHeads, _rotary.KeyNorm, _batch.Positions[row]);
            if (_rotary.Scale.Beta != 0)
            {
                float scale = _rotary.Scale.At(_batch.Positions[row]);
                foreach (ref float value in new Span<float>(qkv, _heads * _layer.HeadDim))
                {
                    value *= scale;
                }
            }

            switch (_layer.Type)
            {
                case CacheType.Q8:
                    Store<ByteCache>(keys, values, _batch.Slots[row]);
                    break;
                case CacheType.BF16:
                    Store<BFloat16Cache>(keys, values, _batch.Slots[row]);
                    break;
                case CacheType.F16:
                    Store<Float16Cache>(keys, values, _batch.Slots[row]);
                    break;
                default:
                    Store<Float32Cache>(keys, values, _batch.Slots[row]);
                    break;
            }
        }
    }

    /// <summary>Values are as they stand there, or the keys as yet untouched; and normed head by head.</summary>
    private void ReadyValues(float* keys, float* values)
    {
        if (_rotary.KeysAreValues)
        {
            long bytes = (long)_layer.KvHeads * _layer.HeadDim * sizeof(float);
            Buffer.MemoryCopy(keys, values, bytes, bytes);
        }

        for (int head = 0; head < _layer.KvHeads && _rotary.ValueNorm.Data != 0; head++, values += _layer.HeadDim)
        {
            RowNorm<T>.Apply(values, (float*)_rotary.ValueNorm.Data, null, _layer.HeadDim, _rotary.NormEpsilon, centred: false, values);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Turn(float* vectors, int count, Tensor norm, int position)
    {
        bool together = norm.Data != 0 && norm.Columns > _layer.HeadDim;
        if (together)
        {
            RowNorm<T>.Apply(vectors, (float*)norm.Data, null, norm.Columns, _rotary.NormEpsilon, centred: false, vectors);
        }

        for (int i = 0; i < count; i++, vectors += _layer.HeadDim)
        {
            if (norm.Data != 0 && !together)
            {
                RowNorm<T>.Apply(vectors, (float*)norm.Data, null, _layer.HeadDim, _rotary.NormEpsilon, centred: false, vectors);
            }

            if (_rotary.Cosine.Data != 0)
            {
                Rotate(
                    vectors, (float*)_rotary.Cosine.Data + ((long)position * _rotary.Cosine.Stride),
                    (float*)_rotary.Sine.Data + ((long)position * _rotary.Sine.Stride), _rotary.RotaryDim / 2);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rotate(float* vector, float* cosine, float* sine, int half)
    {
        for (int i = 0; i < half; i += Lanes)
        {
            int count = Math.Min(Lanes, half - i);
            T low = VectorMath.Load<T>(vector + i, count);
            T high = VectorMath.Load<T>(vector + half + i, count);
            T c = VectorMath.Load<T>(cosine + i, count);
            T s = VectorMath.Load<T>(sine + i, count);
            Put((low * c) - (high * s), vector + i, count);
            Put((high * c) + (low * s), vector + half + i, count);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Store<TCache>(float* keys, float* values, int slot)
        where TCache : struct, ICacheType
    {
        for (int head = 0; head < _layer.KvHeads; head++)
        {
            for (int dim = 0; dim < _layer.HeadDim; dim += CacheTypes.ScaledDims)
            {
                int count = Math.Min(CacheTypes.ScaledDims, _layer.HeadDim - dim);
                byte* key = CacheLayout.Key(_layer, head, slot, dim);
                byte* value = CacheLayout.Value(_layer, head, slot, dim);
                if (TCache.Scaled)
                {
                    ushort* keyScale = CacheLayout.KeyScale(_layer, head, slot, dim);
                    ushort* valueScale = CacheLayout.ValueScale(_layer, head, slot, dim);
                    *keyScale = ByteScales.Of<T>(keys, count);
                    *valueScale = ByteScales.Of<T>(values, count);
                    Store<TCache>(keys, values, count, ByteScales.Divisor(*keyScale), ByteScales.Divisor(*valueScale), key, value);
                }
                else
                {
                    Store<TCache>(keys, values, count, 1, 1, key, value);
                }

                keys += count;
                values += count;
            }
        }
    }

    /// <summary>Up to 32 dimensions of a key and a value, divided and rounded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Store<TCache>(float* keys, float* values, int dims, float keyDivisor, float valueDivisor, byte* key, byte* value)
        where TCache : struct, ICacheType
    {
        byte* rounded = stackalloc byte[Lanes * sizeof(float)];
        for (int d = 0; d < dims; d += Lanes)
        {
            int count = Math.Min(Lanes, dims - d);
            T k = VectorMath.Load<T>(keys + d, count);
            T v = VectorMath.Load<T>(values + d, count);
            if (TCache.Scaled)
            {
                k /= T.Broadcast(keyDivisor);
                v /= T.Broadcast(valueDivisor);
            }

            TCache.Store(k, rounded);
            for (int i = 0; i < count; i++)
            {
                // 16 slots of a dimension stand side by side.
                Copy<TCache>(rounded + (i * TCache.Bytes), key + ((d + i) * KvLayer.BlockSlots * TCache.Bytes));
            }

            if (count == Lanes)
            {
                TCache.Store(v, value + (d * TCache.Bytes));
            }
            else
            {
                TCache.Store(v, rounded);
                Buffer.MemoryCopy(rounded, value + (d * TCache.Bytes), count * TCache.Bytes, count * TCache.Bytes);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy<TCache>(byte* from, byte* to)
        where TCache : struct, ICacheType
    {
        if (TCache.Bytes == 1)
        {
            *to = *from;
        }
        else if (TCache.Bytes == 2)
        {
            *(ushort*)to = *(ushort*)from;
        }
        else
        {
            *(uint*)to = *(uint*)from;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(T value, float* target, int count)
    {
        if (count == Lanes)
        {
            value.Store(target);
        }
        else
        {
            VectorMath.StorePart(value, target, count);
        }
    }
}
