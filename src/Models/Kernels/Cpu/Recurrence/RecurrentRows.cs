using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Recurrence;

/// <summary>Where the inputs of a walk's nodes stand: in the batch, or in what the cache keeps.</summary>
internal static unsafe class RecurrentRows
{
    /// <summary>A source's channels before the convolution.</summary>
    public static float* Channels(Tensor inputs, in RecurrentLayer layer, int source) => source >= 0
        ? (float*)inputs.Data + ((long)source * inputs.Stride)
        : (float*)layer.Kept + ((long)~source * layer.Shape.RowSize);

    /// <summary>A source's beta of each value head; alpha of each stands behind.</summary>
    public static float* BetaAlpha(Tensor inputs, in RecurrentLayer layer, int source) => Channels(inputs, layer, source)
        + (source >= 0 ? layer.Shape.Channels + layer.Shape.ValueSize : layer.Shape.Channels);

    /// <summary>Keeps what the walk says.</summary>
    public static void Keep(Tensor inputs, in RecurrentLayer layer, RecurrentWalk walk)
    {
        RecurrentShape shape = layer.Shape;
        for (int i = 0; i < walk.KeepCount; i++)
        {
            int source = walk.Keep[i];
            if (source == ~i)
            {
                continue;
            }

            float* target = Channels(inputs, layer, ~i);
            new ReadOnlySpan<float>(Channels(inputs, layer, source), shape.Channels).CopyTo(new Span<float>(target, shape.Channels));
            new ReadOnlySpan<float>(BetaAlpha(inputs, layer, source), 2 * shape.ValueHeads)
                .CopyTo(new Span<float>(target + shape.Channels, 2 * shape.ValueHeads));
        }
    }
}
