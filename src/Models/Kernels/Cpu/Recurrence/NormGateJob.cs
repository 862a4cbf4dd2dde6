using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Recurrence;

/// <summary>The output of a recurrent layer, <c>norm(o) silu(z)</c>: an item is one value head of one row.</summary>
internal sealed unsafe class NormGateJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private RecurrentScratch _scratch = null!;
    private RecurrentShape _shape;
    private Norm _norm;
    private Tensor _inputs;
    private Tensor _output;
    private int _firstNode;

    /// <param name="inputs">Those of the rows whose output is wanted.</param>
    /// <param name="firstNode">The node of the first of them.</param>
    public void Set(RecurrentScratch scratch, in RecurrentShape shape, in Norm norm, Tensor inputs, int firstNode, Tensor output) =>
        (_scratch, _shape, _norm, _inputs, _firstNode, _output) = (scratch, shape, norm, inputs, firstNode, output);

    public int Items => _output.Rows * _shape.ValueHeads;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        for (int item = first; item < end; item++)
        {
            (int row, int head) = Math.DivRem(item, _shape.ValueHeads);
            int at = head * _shape.ValueDim;
            float* gates = (float*)_inputs.Data + ((long)row * _inputs.Stride) + _shape.Channels + at;
            float* output = (float*)_output.Data + ((long)row * _output.Stride) + at;
            RowNorm<T>.Apply(
                _scratch.Node(_firstNode + row) + _shape.QueryKeySize + at, (float*)_norm.Weight.Data, null, _shape.ValueDim, _norm.Epsilon,
                centred: false, output);
            for (int i = 0; i < _shape.ValueDim; i += Lanes)
            {
                (T.Load(output + i) * VectorMath.Silu(T.Load(gates + i))).Store(output + i);
            }
        }
    }
}
