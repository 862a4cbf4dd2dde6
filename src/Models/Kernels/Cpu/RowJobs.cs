using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Norms: an item is a row.</summary>
internal sealed unsafe class NormJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private Tensor _x;
    private Tensor _output;
    private Norm _norm;
    private bool _add;

    /// <param name="output">May be x itself.</param>
    /// <param name="add">Normed rows are added to those of the output, which is not x.</param>
    public void Set(Tensor x, in Norm norm, Tensor output, bool add) => (_x, _norm, _output, _add) = (x, norm, output, add);

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            RowNorm<T>.Apply(
                (float*)_x.Data + ((long)row * _x.Stride), (float*)_norm.Weight.Data, (float*)_norm.Bias.Data, _x.Columns, _norm.Epsilon,
                _norm.Kind == NormKind.LayerNorm, (float*)_output.Data + ((long)row * _output.Stride), _add);
        }
    }
}

internal static unsafe class RowNorm<T>
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    /// <summary>One vector of <paramref name="count"/> elements; output may be x itself.</summary>
    /// <param name="add">To what the output, then another vector, holds.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(float* x, float* weight, float* bias, int count, float epsilon, bool centred, float* output, bool add = false)
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
            value = bias == null ? value : value + T.Load(bias + at);
            (add ? T.Load(output + at) + value : value).Store(output + at);
        }

        if (at < count)
        {
            T value = (VectorMath.LoadPart<T>(x + at, count - at) - centre) * scale * VectorMath.LoadPart<T>(weight + at, count - at);
            value = bias == null ? value : value + VectorMath.LoadPart<T>(bias + at, count - at);
            value = add ? VectorMath.LoadPart<T>(output + at, count - at) + value : value;
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

/// <summary>Capped and scaled values: an item is a row.</summary>
internal sealed unsafe class CapJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private Tensor _x;
    private float _scale;
    private float _cap;

    public void Set(Tensor x, float scale, float cap) => (_x, _scale, _cap) = (x, scale, cap);

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            Apply((float*)_x.Data + ((long)row * _x.Stride), _x.Columns, _scale, _cap);
        }
    }

    /// <summary><c>x = cap tanh(scale x / cap)</c>, of whole vectors: the elements behind the last one may be overwritten.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Apply(float* x, int count, float scale, float cap)
    {
        T factor = T.Broadcast(cap == 0 ? scale : scale / cap);
        T most = T.Broadcast(cap);
        for (int i = 0; i < count; i += Lanes)
        {
            T value = T.Load(x + i) * factor;
            (cap == 0 ? value : most * VectorMath.Tanh(value)).Store(x + i);
        }
    }
}

/// <summary>Embedding: an item is a row.</summary>
internal sealed class EmbedJob : Job
{
    private CpuMatrix _table = null!;
    private CpuMatrix? _positions;
    private ForwardBatch _batch = null!;
    private Tensor _output;
    private float _scale;
    private float[][] _rows = [];

    /// <param name="threads">That may run the job.</param>
    public void Set(CpuMatrix table, CpuMatrix? positions, ForwardBatch batch, Tensor output, float scale, int threads)
    {
        (_table, _positions, _batch, _output, _scale) = (table, positions, batch, output, scale);
        if (positions is not null && (_rows.Length < threads || _rows[0].Length < positions.Columns))
        {
            _rows = new float[threads][];
            for (int i = 0; i < threads; i++)
            {
                _rows[i] = new float[positions.Columns];
            }
        }
    }

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            Span<float> output = _output.Floats(row);
            Read(_table, _batch.Tokens[row], output);
            for (int i = 0; _scale != 1 && i < output.Length; i++)
            {
                output[i] *= _scale;
            }

            if (_positions is not null)
            {
                Span<float> position = _rows[worker].AsSpan(0, output.Length);
                Read(_positions, _batch.Positions[row], position);
                for (int i = 0; i < output.Length; i++)
                {
                    output[i] += position[i];
                }
            }
        }
    }

    private static void Read(CpuMatrix table, int row, Span<float> values)
    {
        if ((uint)row >= (uint)table.Rows)
        {
            throw new ArgumentOutOfRangeException(nameof(row), row, $"The table has {table.Rows} rows.");
        }

        table.ReadRow(row, values);
    }
}
