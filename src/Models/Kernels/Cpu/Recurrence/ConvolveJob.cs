using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Recurrence;

/// <summary>
/// What a recurrent layer makes of its inputs before the recurrence: an item is one head of queries, keys or values of one node.
/// </summary>
internal sealed unsafe class ConvolveJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private RecurrentScratch _scratch = null!;
    private Tensor _inputs;
    private RecurrentParams _recurrent;
    private RecurrentLayer _layer;
    private RecurrentWalk _walk = null!;

    public void Set(RecurrentScratch scratch, Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk) =>
        (_scratch, _inputs, _recurrent, _layer, _walk) = (scratch, inputs, recurrent, layer, walk);

    public int Items => _walk.Count * Heads;

    public long Work => (long)_walk.Count * _layer.Shape.Channels * (_layer.Shape.Taps + 8);

    private int Heads => (2 * _layer.Shape.KeyHeads) + _layer.Shape.ValueHeads;

    public override void Run(int first, int end, int worker)
    {
        RecurrentShape shape = _layer.Shape;
        for (int item = first; item < end; item++)
        {
            (int node, int head) = Math.DivRem(item, Heads);
            float* output = _scratch.Node(node);
            int keyHeads = 2 * shape.KeyHeads;
            if (head < keyHeads)
            {
                Convolve(node, head * shape.KeyDim, shape.KeyDim, output);
                float scale = head < shape.KeyHeads ? (float)(1 / Math.Sqrt(shape.KeyDim)) : 1;
                ToLength(output + (head * shape.KeyDim), shape.KeyDim, scale);
                continue;
            }

            int value = head - keyHeads;
            Convolve(node, shape.QueryKeySize + (value * shape.ValueDim), shape.ValueDim, output);
            float* given = RecurrentRows.BetaAlpha(_inputs, _layer, _walk.Sources[node]);
            output[shape.Channels + value] = RecurrentParams.Beta(given[value]);
            output[shape.Channels + shape.ValueHeads + value] = RecurrentParams.Kept(
                given[shape.ValueHeads + value], ((float*)_recurrent.TimeBias.Data)[value], ((float*)_recurrent.Decay.Data)[value]);
        }
    }

    /// <summary><c>silu(sum over taps of convolution[tap] u[tap])</c>, of channels <c>at .. at + count</c>, the oldest tap first.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Convolve(int node, int at, int count, float* output)
    {
        int before = _layer.Shape.Taps - 1;
        float** taps = stackalloc float*[before + 1];
        for (int tap = 0; tap < before; tap++)
        {
            taps[tap] = RecurrentRows.Channels(_inputs, _layer, _walk.Taps[(node * before) + tap]);
        }

        taps[before] = RecurrentRows.Channels(_inputs, _layer, _walk.Sources[node]);
        for (int i = at; i < at + count; i += Lanes)
        {
            int lanes = Math.Min(Lanes, at + count - i);
            T sum = default;
            for (int tap = 0; tap <= before; tap++)
            {
                float* weights = (float*)_recurrent.Convolution.Data + ((long)tap * _recurrent.Convolution.Stride);
                sum = T.MultiplyAdd(VectorMath.Load<T>(weights + i, lanes), VectorMath.Load<T>(taps[tap] + i, lanes), sum);
            }

            sum = VectorMath.Silu(sum);
            if (lanes == Lanes)
            {
                sum.Store(output + i);
            }
            else
            {
                VectorMath.StorePart(sum, output + i, lanes);
            }
        }
    }

    /// <summary><c>x = scale x / sqrt(sum of x^2 + epsilon)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ToLength(float* x, int count, float scale)
    {
        T sum = default;
        for (int i = 0; i < count; i += Lanes)
        {
            T value = VectorMath.Load<T>(x + i, Math.Min(Lanes, count - i));
            sum = T.MultiplyAdd(value, value, sum);
        }

        float factor = scale / MathF.Sqrt(sum.Sum() + RecurrentParams.LengthEpsilon);
        for (int i = 0; i < count; i++)
        {
            x[i] *= factor;
        }
    }
}
