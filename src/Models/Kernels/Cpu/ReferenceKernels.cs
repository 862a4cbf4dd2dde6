using Understory.Models.Kernels.Cpu.Decision;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// The truth that the other sets are tested against: plain loops, sums in double precision, one thread.
/// </summary>
internal sealed class ReferenceKernels : CpuKernels
{
    private readonly ReferenceDecision _decision = new();
    private double[] _scores = [];

    public override string Name => "reference";

    public override void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output)
    {
        for (int r = 0; r < batch.Count; r++)
        {
            Span<float> row = output.Floats(r);
            for (int i = 0; i < row.Length; i++)
            {
                row[i] = Elements.Read(table, batch.Tokens[r], i);
                if (positions is not null)
                {
                    row[i] += Elements.Read(positions, batch.Positions[r], i);
                }
            }
        }
    }

    public override void LayerNorm(Tensor x, Tensor weight, Tensor bias, float epsilon, Tensor output)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            Span<float> row = x.Floats(r);
            double mean = 0;
            foreach (float value in row)
            {
                mean += value;
            }

            mean /= row.Length;
            double variance = 0;
            foreach (float value in row)
            {
                variance += (value - mean) * (value - mean);
            }

            double scale = 1 / Math.Sqrt((variance / row.Length) + epsilon);
            Span<float> normed = output.Floats(r);
            for (int i = 0; i < row.Length; i++)
            {
                normed[i] = (float)(((row[i] - mean) * scale * weight.Floats(0)[i]) + bias.Floats(0)[i]);
            }
        }
    }

    public override void RmsNorm(Tensor x, Tensor weight, float epsilon, Tensor output)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            RmsNorm(x.Floats(r), weight.Floats(0), epsilon, output.Floats(r));
        }
    }

    public override void MatMul(WeightMatrix weights, Tensor x, Tensor y, in Epilogue epilogue)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            Span<float> row = y.Floats(r);
            for (int o = 0; o < weights.Rows; o++)
            {
                double bias = epilogue.Bias.Data == 0 ? 0 : epilogue.Bias.Floats(0)[o];
                double sum = Activate(Dot(weights, o, x.Floats(r)) + bias, epilogue.Activation);
                row[o] = (float)(epilogue.AddToOutput ? row[o] + sum : sum);
            }
        }
    }

    public override void GatedMatMul(WeightMatrix gate, WeightMatrix up, Tensor x, Tensor y, Activation activation)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            Span<float> row = y.Floats(r);
            for (int o = 0; o < gate.Rows; o++)
            {
                row[o] = (float)(Activate(Dot(gate, o, x.Floats(r)), activation) * Dot(up, o, x.Floats(r)));
            }
        }
    }

    public override void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch)
    {
        int dims = layer.HeadDim;
        for (int r = 0; r < batch.Count; r++)
        {
            Span<float> row = qkv.Floats(r);
            for (int head = 0; head < heads + layer.KvHeads; head++)
            {
                Span<float> vector = row.Slice(head * dims, dims);
                Tensor norm = head < heads ? rotary.QueryNorm : rotary.KeyNorm;
                if (norm.Data != 0)
                {
                    RmsNorm(vector, norm.Floats(0), rotary.NormEpsilon, vector);
                }

                if (rotary.Cosine.Data != 0)
                {
                    Rotate(vector, rotary.Cosine.Floats(batch.Positions[r]), rotary.Sine.Floats(batch.Positions[r]), rotary.RotaryDim / 2);
                }
            }

            for (int head = 0; head < layer.KvHeads; head++)
            {
                Span<float> key = row.Slice((heads + head) * dims, dims);
                Span<float> value = row.Slice((heads + layer.KvHeads + head) * dims, dims);
                for (int d = 0; d < dims; d++)
                {
                    Elements.Write(layer.Type, layer.Keys, Elements.KeyIndex(layer, head, batch.Slots[r], d), key[d]);
                    Elements.Write(layer.Type, layer.Values, Elements.ValueIndex(layer, head, batch.Slots[r], d), value[d]);
                }
            }
        }
    }

    public override void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output)
    {
        for (int r = 0; r < batch.Count; r++)
        {
            ReadOnlySpan<int> ancestors = batch.Ancestors.AsSpan(r * batch.MaxDepth, batch.AncestorCount[r]);
            for (int head = 0; head < attention.Heads; head++)
            {
                int kvHead = head / (attention.Heads / attention.KvHeads);
                Range columns = new(head * attention.HeadDim, (head + 1) * attention.HeadDim);
                Attend(queries.Floats(r)[columns], layer, kvHead, attention, batch.Prefix[r], ancestors, output.Floats(r)[columns]);
            }
        }
    }

    public override void Decide(Tensor logits, DecisionBatch decision) => _decision.Decide(logits, decision);

    private void Attend(
        ReadOnlySpan<float> query, in KvLayer layer, int kvHead, in AttentionParams attention, int prefix, ReadOnlySpan<int> ancestors, Span<float> output)
    {
        int length = prefix + ancestors.Length;
        int first = attention.Window > 0 ? Math.Max(0, length - attention.Window) : 0;
        if (_scores.Length < length)
        {
            _scores = new double[Math.Max(length, layer.Slots)];
        }

        double max = double.NegativeInfinity;
        for (int p = first; p < length; p++)
        {
            double score = 0;
            for (int d = 0; d < query.Length; d++)
            {
                score += (double)query[d] * Elements.Read(layer.Type, layer.Keys, Elements.KeyIndex(layer, kvHead, Slot(p, prefix, ancestors), d));
            }

            _scores[p] = score * attention.Scale;
            max = Math.Max(max, _scores[p]);
        }

        double total = 0;
        for (int p = first; p < length; p++)
        {
            _scores[p] = Math.Exp(_scores[p] - max);
            total += _scores[p];
        }

        for (int d = 0; d < query.Length; d++)
        {
            double sum = 0;
            for (int p = first; p < length; p++)
            {
                sum += _scores[p] * Elements.Read(layer.Type, layer.Values, Elements.ValueIndex(layer, kvHead, Slot(p, prefix, ancestors), d));
            }

            output[d] = (float)(sum / total);
        }
    }

    /// <summary>The slot of a row's logical position.</summary>
    private static int Slot(int position, int prefix, ReadOnlySpan<int> ancestors) => position < prefix ? position : ancestors[position - prefix];

    private static double Dot(WeightMatrix weights, int output, ReadOnlySpan<float> x)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
        {
            sum += (double)Elements.Read(weights, output, i) * x[i];
        }

        return sum;
    }

    private static double Activate(double x, Activation activation) => activation switch
    {
        Activation.GeluTanh => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
        Activation.Silu => x / (1 + Math.Exp(-x)),
        _ => x,
    };

    private static void RmsNorm(ReadOnlySpan<float> x, ReadOnlySpan<float> weight, float epsilon, Span<float> output)
    {
        double squares = 0;
        foreach (float value in x)
        {
            squares += (double)value * value;
        }

        double scale = 1 / Math.Sqrt((squares / x.Length) + epsilon);
        for (int i = 0; i < x.Length; i++)
        {
            output[i] = (float)(x[i] * scale * weight[i]);
        }
    }

    private static void Rotate(Span<float> vector, ReadOnlySpan<float> cosine, ReadOnlySpan<float> sine, int half)
    {
        for (int i = 0; i < half; i++)
        {
            double low = vector[i];
            double high = vector[i + half];
            vector[i] = (float)((low * cosine[i]) - (high * sine[i]));
            vector[i + half] = (float)((high * cosine[i]) + (low * sine[i]));
        }
    }
}
