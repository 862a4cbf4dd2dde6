using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>Inputs as 8-bit integers: an item is a row.</summary>
internal sealed unsafe class QuantiseJob : Job
{
    private Tensor _x;
    private QuantisedInput _output;

    public void Set(Tensor x, QuantisedInput output) => (_x, _output) = (x, output);

    public override void Run(int first, int end, int worker)
    {
        for (int row = first; row < end; row++)
        {
            _output.Quantise((float*)_x.Data + ((long)row * _x.Stride), row);
        }
    }
}
