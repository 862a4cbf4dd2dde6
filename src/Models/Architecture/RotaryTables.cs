using System.Runtime.CompilerServices;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>Cosines and sines of every position, computed in double precision, held as F32 <c>[context, Dim / 2]</c> each.</summary>
internal sealed class RotaryTables : IDisposable
{
    private readonly MemoryBlock _block;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public RotaryTables(Rotary rotary, int context, IKernels kernels)
    {
        double[] frequencies = rotary.Frequencies(context);
        double factor = rotary.Scaling.AttentionFactor;
        int pairs = frequencies.Length;
        _block = kernels.Allocate(2L * context * pairs * sizeof(float));
        Cosine = _block.View(DType.F32, context, pairs, pairs);
        Sine = _block.View(DType.F32, context, pairs, pairs, (long)context * pairs * sizeof(float));
        float[] cosines = new float[pairs];
        float[] sines = new float[pairs];
        for (int position = 0; position < context; position++)
        {
            for (int i = 0; i < pairs; i++)
            {
                (double sine, double cosine) = Math.SinCos(position * frequencies[i]);
                (cosines[i], sines[i]) = ((float)(cosine * factor), (float)(sine * factor));
            }

            kernels.Write(cosines, Cosine.RowRange(position, 1).Data);
            kernels.Write(sines, Sine.RowRange(position, 1).Data);
        }
    }

    public Tensor Cosine { get; }

    public Tensor Sine { get; }

    public void Dispose() => _block.Dispose();
}
