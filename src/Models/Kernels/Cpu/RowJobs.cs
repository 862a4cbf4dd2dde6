using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Norms: an item is a row.</summary>
internal sealed unsafe class NormJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private Tensor _x;
    private Tensor _weight;
    private Tensor _bias;
    private Tensor _output;
    private float _epsilon;
    private bool _centred;

    /// <param name="bias"><c>Data</c> 0 for a norm without one.</param>
    /// <param name="centred">LayerNorm; otherwise RMSNorm.</param>
    public void Set(Tensor x, Tensor weight, Tensor bias, float epsilon, bool centred, Tensor output)
    {
        (_x, _weight, _bias, _epsilon, _centred, _output) = (x, weight, bias, epsilon, centred, output);
    }

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            Norm<T>.Apply(
                (float*)_x.Data + ((long)row * _x.Stride), (float*)_weight.Data, (float*)_bias.Data, _x.Columns, _epsilon, _centred,
                (float*)_output.Data + ((long)row * _output.Stride));
        }
    }
}

internal static unsafe class Norm<T>
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    /// <summary>One vector of <paramref name="count"/> elements; output may be x itself.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(float* x, float* weight, float* bias, int count, float epsilon, bool centred, float* output)
    {
        float mean = 0;
        if (centred)
        {
            T sum = default;
            int i = 0;
            for (; i <= count - Lanes; i += Lanes)
            {
                sum += T.Load(x + i);
            }

            if (i < count)
            {
                sum += VectorMath.LoadPart<T>(x + i, count - i);
            }

            mean = sum.Sum() / count;
        }

        T centre = T.Broadcast(mean);
        T scale = T.Broadcast(1 / MathF.Sqrt((Squares(x, centre, mean, count) / count) + epsilon));
        int at = 0;
        for (; at <= count - Lanes; at += Lanes)
        {
            T value = (T.Load(x + at) - centre) * scale * T.Load(weight + at);
            (bias == null ? value : value + T.Load(bias + at)).Store(output + at);
        }

        if (at < count)
        {
            T value = (VectorMath.LoadPart<T>(x + at, count - at) - centre) * scale * VectorMath.LoadPart<T>(weight + at, count - at);
            value = bias == null ? value : value + VectorMath.LoadPart<T>(bias + at, count - at);
            VectorMath.StorePart(value, output + at, count - at);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Squares(float* x, T centre, float mean, int count)
    {
        T sum = default;
        int i = 0;
        for (; i <= count - Lanes; i += Lanes)
        {
            T value = T.Load(x + i) - centre;
            sum = T.MultiplyAdd(value, value, sum);
        }

        if (i < count)
        {
            // Lanes beyond the end hold the mean, so that they add nothing.
            float* part = stackalloc float[Lanes];
            for (int lane = 0; lane < Lanes; lane++)
            {
                part[lane] = i + lane < count ? x[i + lane] : mean;
            }

            T value = T.Load(part) - centre;
            sum = T.MultiplyAdd(value, value, sum);
        }

        return sum.Sum();
    }
}

/// <summary>Embedding: an item is a row.</summary>
internal sealed unsafe class EmbedJob : Job
{
    private WeightMatrix _table = null!;
    private WeightMatrix? _positions;
    private ForwardBatch _batch = null!;
    private Tensor _output;

    public void Set(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output)
    {
        (_table, _positions, _batch, _output) = (table, positions, batch, output);
    }

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            Span<float> output = _output.Floats(row);
            Read(_table, _batch.Tokens[row], output, add: false);
            if (_positions is not null)
            {
                Read(_positions, _batch.Positions[row], output, add: true);
            }
        }
    }

    /// <summary>One output's weights out of a packed matrix.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Read(WeightMatrix table, int row, Span<float> output, bool add)
    {
        if ((uint)row >= (uint)table.Rows)
        {
            throw new ArgumentOutOfRangeException(nameof(row), row, $"The table has {table.Rows} rows.");
        }

        long first = Elements.PackedIndex(table.Type, table.PaddedColumns, row, 0);
        if (table.Type == DType.F32)
        {
            float* source = (float*)table.Data + first;
            for (int i = 0; i < output.Length; i++)
            {
                float value = source[(long)i * WeightMatrix.BlockRows];
                output[i] = add ? output[i] + value : value;
            }

            return;
        }

        bool brain = table.Type == DType.BF16;
        ushort* half = (ushort*)table.Data + first;
        for (int i = 0; i < output.Length; i++)
        {
            ushort bits = half[((long)(i >> 1) * 2 * WeightMatrix.BlockRows) + (i & 1)];
            float value = brain ? HalfPrecision.FromBFloat16(bits) : HalfPrecision.FromFloat16(bits);
            output[i] = add ? output[i] + value : value;
        }
    }
}
