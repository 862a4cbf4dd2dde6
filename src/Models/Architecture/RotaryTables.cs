using System.Runtime.CompilerServices;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// Cosines and sines, computed in double precision, held as F32 <c>[context, Dim / 2]</c> each. A position's row is filled before it is
/// first needed: the whole of a long context would take longer to fill, and more memory, than many a text that it is loaded for.
/// </summary>
internal sealed class RotaryTables : IDisposable
{
    /// <summary>Positions that are filled together: to write each by itself would cost a device a copy every pass.</summary>
    private const int Together = 64;

    private readonly IKernels _kernels;
    private readonly MemoryBlock _block;
    private readonly double[] _frequencies;
    private readonly double _factor;
    private readonly float[] _cosines;
    private readonly float[] _sines;
    private int _filled;

    public RotaryTables(Rotary rotary, int context, IKernels kernels)
    {
        _kernels = kernels;
        _frequencies = rotary.Frequencies(context);
        _factor = rotary.Scaling.AttentionFactor;
        int pairs = _frequencies.Length;
        _cosines = new float[Together * pairs];
        _sines = new float[Together * pairs];
        _block = kernels.Allocate(2L * context * pairs * sizeof(float), sparse: true);
        Cosine = _block.View(DType.F32, context, pairs, pairs);
        Sine = _block.View(DType.F32, context, pairs, pairs, (long)context * pairs * sizeof(float));
    }

    public Tensor Cosine { get; }

    public Tensor Sine { get; }

    /// <summary>Sees to it that the rows of the first <paramref name="positions"/> positions are there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Reach(int positions)
    {
        int pairs = _frequencies.Length;
        while (_filled < positions)
        {
            int count = Math.Min(Together, Cosine.Rows - _filled);
            for (int row = 0; row < count; row++)
            {
                for (int i = 0; i < pairs; i++)
                {
                    (double sine, double cosine) = Math.SinCos((_filled + row) * _frequencies[i]);
                    _cosines[(row * pairs) + i] = (float)(cosine * _factor);
                    _sines[(row * pairs) + i] = (float)(sine * _factor);
                }
            }

            _kernels.Write(_cosines.AsSpan(0, count * pairs), Cosine.RowRange(_filled, 1).Data);
            _kernels.Write(_sines.AsSpan(0, count * pairs), Sine.RowRange(_filled, 1).Data);
            _filled += count;
        }
    }

    public void Dispose() => _block.Dispose();
}
