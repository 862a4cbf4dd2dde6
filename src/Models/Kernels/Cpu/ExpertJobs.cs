using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Rows by place: an item is a place. Elements up to the stride are copied too.</summary>
internal sealed unsafe class GatherJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private Tensor _x;
    private Tensor _output;
    private Routing _routing = null!;

    public void Set(Tensor x, Routing routing, Tensor output) => (_x, _routing, _output) = (x, routing, output);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        for (int place = first; place < end; place++)
        {
            float* x = (float*)_x.Data + ((long)_routing.RowOf[place] * _x.Stride);
            float* output = (float*)_output.Data + ((long)place * _output.Stride);
            for (int i = 0; i < _x.Columns; i += Lanes)
            {
                T.Load(x + i).Store(output + i);
            }
        }
    }
}

/// <summary>Sums over a row's experts, ascending: an item is a row.</summary>
internal sealed unsafe class SumExpertsJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private Tensor _x;
    private Tensor _y;
    private Routing _routing = null!;

    public void Set(Tensor x, Routing routing, Tensor y) => (_x, _routing, _y) = (x, routing, y);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            float* y = (float*)_y.Data + ((long)row * _y.Stride);
            for (int i = 0; i < _x.Columns; i += Lanes)
            {
                T sum = default;
                for (int pair = row * _routing.Used; pair < (row + 1) * _routing.Used; pair++)
                {
                    float* x = (float*)_x.Data + ((long)_routing.PlaceOf[pair] * _x.Stride);
                    sum = T.MultiplyAdd(T.Broadcast(_routing.Weights[pair]), T.Load(x + i), sum);
                }

                sum.Store(y + i);
            }
        }
    }
}

/// <summary>Rows added to others: an item is a row.</summary>
internal sealed unsafe class AddJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = 16;

    private Tensor _x;
    private Tensor _gate;
    private Tensor _y;
    private float _scale;

    public void Set(Tensor x, Tensor gate, float scale, Tensor y) => (_x, _gate, _scale, _y) = (x, gate, scale, y);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            float* x = (float*)_x.Data + ((long)row * _x.Stride);
            float* y = (float*)_y.Data + ((long)row * _y.Stride);
            T factor = T.Broadcast(_gate.Data == 0 ? _scale : (float)(_scale / (1 + Math.Exp(-_gate.Floats(row)[0]))));
            for (int i = 0; i < _x.Columns; i += Lanes)
            {
                T.MultiplyAdd(factor, T.Load(x + i), T.Load(y + i)).Store(y + i);
            }
        }
    }
}
