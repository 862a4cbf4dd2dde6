using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Recurrence;

/// <summary>
/// Recurrent layers in plain loops, sums in double precision; states and what stands between the steps are rounded to F32.
/// </summary>
internal sealed unsafe class ReferenceRecurrence : IDisposable
{
    private readonly RecurrentScratch _scratch = new(1);

    public void Run(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, Tensor output)
    {
        RecurrentShape shape = layer.Shape;
        _scratch.Reach(shape, walk.Count, walk.Buffers);
        for (int node = 0; node < walk.Count; node++)
        {
            Convolve(inputs, recurrent, layer, walk, node);
        }

        for (int column = 0; column < shape.ValueSize; column++)
        {
            for (int step = 0; step < walk.Count; step++)
            {
                Step(layer, walk, step, column);
            }
        }

        for (int row = first; row < inputs.Rows; row++)
        {
            NormGate(inputs.Floats(row), recurrent.Norm, shape, _scratch.Node(walk.Earlier + row), output.Floats(row - first));
        }

        RecurrentRows.Keep(inputs, layer, walk);
    }

    public void Dispose() => _scratch.Dispose();

    private void Convolve(Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int node)
    {
        RecurrentShape shape = layer.Shape;
        int before = shape.Taps - 1;
        float* output = _scratch.Node(node);
        for (int channel = 0; channel < shape.Channels; channel++)
        {
            double sum = 0;
            for (int tap = 0; tap <= before; tap++)
            {
                int source = tap < before ? walk.Taps[(node * before) + tap] : walk.Sources[node];
                sum += (double)recurrent.Convolution.Floats(tap)[channel] * RecurrentRows.Channels(inputs, layer, source)[channel];
            }

            output[channel] = (float)(sum / (1 + Math.Exp(-sum)));
        }

        for (int head = 0; head < 2 * shape.KeyHeads; head++)
        {
            var vector = new Span<float>(output + (head * shape.KeyDim), shape.KeyDim);
            double squares = 0;
            foreach (float x in vector)
            {
                squares += (double)x * x;
            }

            double scale = head < shape.KeyHeads ? 1 / Math.Sqrt(shape.KeyDim) : 1;
            foreach (ref float x in vector)
            {
                x = (float)(x * scale / Math.Sqrt(squares + RecurrentParams.LengthEpsilon));
            }
        }

        float* given = RecurrentRows.BetaAlpha(inputs, layer, walk.Sources[node]);
        for (int head = 0; head < shape.ValueHeads; head++)
        {
            output[shape.Channels + head] = RecurrentParams.Beta(given[head]);
            output[shape.Channels + shape.ValueHeads + head] = RecurrentParams.Kept(
                given[shape.ValueHeads + head], recurrent.TimeBias.Floats(0)[head], recurrent.Decay.Floats(0)[head]);
        }
    }

    /// <summary>One column of a state through one step.</summary>
    private void Step(in RecurrentLayer layer, RecurrentWalk walk, int step, int column)
    {
        RecurrentShape shape = layer.Shape;
        float* inputs = _scratch.Node(walk.Steps[step]);
        int head = column / shape.ValueDim;
        (int block, int lane) = Math.DivRem(column, RecurrentShape.Block);
        float* query = inputs + (shape.KeyHead(head) * shape.KeyDim);
        float* key = query + (shape.KeyHeads * shape.KeyDim);
        float* value = inputs + shape.QueryKeySize + column;
        double beta = inputs[shape.Channels + head];
        double kept = inputs[shape.Channels + shape.ValueHeads + head];
        float* from = BufferOf(layer, walk.From[step], block);
        double read = 0;
        for (int row = 0; row < shape.KeyDim; row++)
        {
            read += kept * from[(row * RecurrentShape.Block) + lane] * key[row];
        }

        double delta = beta * (*value - read);
        double sum = 0;
        for (int row = 0; row < shape.KeyDim; row++)
        {
            float state = (float)((kept * from[(row * RecurrentShape.Block) + lane]) + (key[row] * delta));
            sum += (double)state * query[row];
            if (walk.To[step] >= 0)
            {
                BufferOf(layer, walk.To[step], block)[(row * RecurrentShape.Block) + lane] = state;
            }
        }

        *value = (float)sum;
    }

    private float* BufferOf(in RecurrentLayer layer, int buffer, int block) => buffer == RecurrentWalk.State
        ? (float*)layer.State + ((long)block * layer.Shape.KeyDim * RecurrentShape.Block) : _scratch.Buffer(0, buffer);

    private static void NormGate(ReadOnlySpan<float> inputs, in Norm norm, in RecurrentShape shape, float* node, Span<float> output)
    {
        for (int head = 0; head < shape.ValueHeads; head++)
        {
            int at = head * shape.ValueDim;
            double squares = 0;
            for (int i = 0; i < shape.ValueDim; i++)
            {
                squares += Math.Pow(node[shape.QueryKeySize + at + i], 2);
            }

            double factor = 1 / Math.Sqrt((squares / shape.ValueDim) + norm.Epsilon);
            for (int i = 0; i < shape.ValueDim; i++)
            {
                double gate = inputs[shape.Channels + at + i];
                double normed = node[shape.QueryKeySize + at + i] * factor * norm.Weight.Floats(0)[i];
                output[at + i] = (float)(normed * gate / (1 + Math.Exp(-gate)));
            }
        }
    }
}
