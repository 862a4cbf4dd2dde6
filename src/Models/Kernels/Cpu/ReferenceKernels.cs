using Understory.Models.Kernels.Cpu.Decision;
using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Kernels.Cpu.Recurrence;
using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// The truth that the other sets are tested against: plain loops, sums in double precision, one thread.
/// </summary>
internal sealed class ReferenceKernels : CpuKernels
{
    private readonly ReferenceDecision _decision = new();
    private readonly ReferenceRecurrence _recurrence = new();
    private double[] _scores = [];
    private float[] _row = [];
    private double[] _dots = [];
    private double[] _otherDots = [];

    public override string Name => "reference";

    public override void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output, float scale)
    {
        for (int r = 0; r < batch.Count; r++)
        {
            Span<float> row = output.Floats(r);
            ((CpuMatrix)table).ReadRow(batch.Tokens[r], row);
            for (int i = 0; i < row.Length; i++)
            {
                row[i] *= scale;
            }

            if (positions is not null)
            {
                ReadOnlySpan<float> position = Row(positions, batch.Positions[r], ref _row);
                for (int i = 0; i < row.Length; i++)
                {
                    row[i] += position[i];
                }
            }
        }
    }

    public override void Normalize(Tensor x, in Norm norm, InputRows output)
    {
        Tensor normed = CpuInput.Write(output);
        for (int r = 0; r < x.Rows; r++)
        {
            Normalize(x.Floats(r), norm, normed.Floats(r));
        }
    }

    public override void Normalize(Tensor x, in Norm norm)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            Normalize(x.Floats(r), norm, x.Floats(r));
        }
    }

    public override void NormalizeAdd(Tensor x, in Norm norm, Tensor y)
    {
        float[] normed = new float[x.Columns];
        for (int r = 0; r < x.Rows; r++)
        {
            Normalize(x.Floats(r), norm, normed);
            for (int i = 0; i < normed.Length; i++)
            {
                y.Floats(r)[i] += normed[i];
            }
        }
    }

    public override void Cap(Tensor x, float scale, float cap)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            foreach (ref float value in x.Floats(r))
            {
                value = (float)Cap(value * (double)scale, cap);
            }
        }
    }

    public override void SumExperts(Tensor x, Routing routing, Tensor y)
    {
        for (int r = 0; r < routing.Rows; r++)
        {
            for (int i = 0; i < x.Columns; i++)
            {
                double sum = 0;
                for (int pair = r * routing.Used; pair < (r + 1) * routing.Used; pair++)
                {
                    sum += (double)routing.Weights[pair] * x.Floats(routing.PlaceOf[pair])[i];
                }

                y.Floats(r)[i] = (float)sum;
            }
        }
    }

    public override void Add(Tensor x, Tensor gate, float scale, Tensor y)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            double factor = gate.Data == 0 ? scale : scale / (1 + Math.Exp(-gate.Floats(r)[0]));
            for (int i = 0; i < x.Columns; i++)
            {
                y.Floats(r)[i] += (float)(factor * x.Floats(r)[i]);
            }
        }
    }

    public override void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch)
    {
        int dims = layer.HeadDim;
        for (int r = 0; r < batch.Count; r++)
        {
            Span<float> row = qkv.Floats(r);
            if (rotary.KeysAreValues)
            {
                row.Slice(heads * dims, layer.KvHeads * dims).CopyTo(row[((heads + layer.KvHeads) * dims)..]);
            }

            for (int head = 0; head < heads + layer.KvHeads; head++)
            {
                Span<float> vector = row.Slice(head * dims, dims);
                Tensor norm = head < heads ? rotary.QueryNorm : rotary.KeyNorm;
                bool together = norm.Data != 0 && norm.Columns > dims;
                if (together ? head == 0 || head == heads : norm.Data != 0)
                {
                    // All heads together are normed before the first of them is turned.
                    Span<float> normed = together ? row.Slice(head * dims, norm.Columns) : vector;
                    RmsNorm(normed, norm.Floats(0), rotary.NormEpsilon, normed);
                }

                if (rotary.Cosine.Data != 0)
                {
                    Rotate(vector, rotary.Cosine.Floats(batch.Positions[r]), rotary.Sine.Floats(batch.Positions[r]), rotary.RotaryDim / 2);
                }
            }

            float scale = rotary.Scale.At(batch.Positions[r]);
            for (int i = 0; i < heads * dims; i++)
            {
                row[i] *= scale;
            }

            for (int head = 0; head < layer.KvHeads; head++)
            {
                Span<float> key = row.Slice((heads + head) * dims, dims);
                Span<float> value = row.Slice((heads + layer.KvHeads + head) * dims, dims);
                if (rotary.ValueNorm.Data != 0)
                {
                    RmsNorm(value, rotary.ValueNorm.Floats(0), rotary.NormEpsilon, value);
                }

                ReferenceCache.Write(layer, head, batch.Slots[r], key, value);
            }
        }
    }

    public override void Decide(Tensor logits, DecisionBatch decision) => _decision.Decide(logits, decision);

    public override void Dispose()
    {
        _recurrence.Dispose();
        base.Dispose();
    }

    protected override void Recur(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, Tensor output) =>
        _recurrence.Run(inputs, recurrent, layer, walk, first, output);

    protected override void Product(InputRows x, Projection weights, Tensor y, Epilogue epilogue)
    {
        int column = 0;
        foreach (WeightMatrix part in weights.Parts)
        {
            for (int o = 0; o < part.Rows; o++, column++)
            {
                Dots(x, (CpuMatrix)part, o, ref _dots);
                double bias = weights.Bias.Data == 0 ? 0 : weights.Bias.Floats(0)[column];
                for (int r = 0; r < x.Count; r++)
                {
                    double sum = Activate(_dots[r] + bias, epilogue.Activation);
                    ref float target = ref y.Floats(r)[column];
                    target = (float)(epilogue.Add ? target + (epilogue.Scale * sum) : epilogue.Times ? target * sum : sum);
                }
            }
        }
    }

    protected override void GatedProduct(InputRows x, Projection gate, Projection up, Activation activation, Tensor y) =>
        GatedProduct(x, gate, up, new GatedUnit(activation), y);

    protected override void Gather(Tensor x, Routing routing, Tensor output)
    {
        for (int place = 0; place < routing.Places; place++)
        {
            x.Floats(routing.RowOf[place]).CopyTo(output.Floats(place));
        }
    }

    protected override void ExpertProduct(
        InputRows x, Routing routing, ExpertProjection weights, ExpertProjection? up, in GatedUnit unit, Tensor y)
    {
        for (int expert = 0; expert < weights.Matrices.Length; expert++)
        {
            int first = routing.First[expert];
            int count = routing.First[expert + 1] - first;
            if (count == 0)
            {
                continue;
            }

            if (up is null)
            {
                Product(x.Range(first, count), Of(weights, expert), y.RowRange(first, count), new Epilogue());
            }
            else
            {
                GatedProduct(x.Range(first, count), Of(weights, expert), Of(up, expert), unit, y.RowRange(first, count));
            }
        }
    }

    protected override void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output)
    {
        for (int r = 0; r < batch.Count; r++)
        {
            ReadOnlySpan<int> ancestors = batch.Ancestors.AsSpan(r * batch.MaxDepth, batch.AncestorCount[r]);
            for (int head = 0; head < attention.Heads; head++)
            {
                int kvHead = head / (attention.Heads / attention.KvHeads);
                Range columns = new(head * attention.HeadDim, (head + 1) * attention.HeadDim);
                Attend(queries.Floats(r)[columns], layer, (kvHead, head), attention, batch.Prefix[r], ancestors, output.Floats(r)[columns]);
            }
        }
    }

    private static Projection Of(ExpertProjection experts, int expert) =>
        new(experts.Matrices[expert], experts.Bias.Data == 0 ? default : experts.Bias.RowRange(expert, 1));

    private void GatedProduct(InputRows x, Projection gate, Projection up, in GatedUnit unit, Tensor y)
    {
        for (int o = 0; o < gate.Outputs; o++)
        {
            Dots(x, (CpuMatrix)gate.Parts[0], o, ref _dots);
            Dots(x, (CpuMatrix)up.Parts[0], o, ref _otherDots);
            double gateBias = gate.Bias.Data == 0 ? 0 : gate.Bias.Floats(0)[o];
            double upBias = up.Bias.Data == 0 ? 0 : up.Bias.Floats(0)[o];
            for (int r = 0; r < x.Count; r++)
            {
                y.Floats(r)[o] = (float)Gate(_dots[r] + gateBias, _otherDots[r] + upBias, unit);
            }
        }
    }

    private static double Gate(double gate, double up, in GatedUnit unit)
    {
        if (unit.Limit == 0)
        {
            return Activate(gate, unit.Activation) * up;
        }

        double g = Math.Min(gate, unit.Limit);
        return g / (1 + Math.Exp(-unit.Alpha * g)) * (Math.Clamp(up, -unit.Limit, unit.Limit) + 1);
    }

    private void Attend(
        ReadOnlySpan<float> query, in KvLayer layer, (int Kv, int Query) head, in AttentionParams attention, int prefix,
        ReadOnlySpan<int> ancestors, Span<float> output)
    {
        int length = prefix + ancestors.Length;
        int first = attention.Window > 0 ? Math.Max(0, length - attention.Window) : 0;
        if (_scores.Length < length)
        {
            _scores = new double[Math.Max(length, layer.Slots)];
        }

        double sink = attention.Sinks.Data == 0 ? double.NegativeInfinity : attention.Sinks.Floats(0)[head.Query];
        double max = sink;
        for (int p = first; p < length; p++)
        {
            double score = 0;
            for (int d = 0; d < query.Length; d++)
            {
                score += (double)query[d] * ReferenceCache.ReadKey(layer, head.Kv, Slot(p, prefix, ancestors), d);
            }

            _scores[p] = Cap(score * attention.Scale, attention.SoftCap);
            max = Math.Max(max, _scores[p]);
        }

        double total = Math.Exp(sink - max);
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
                sum += _scores[p] * ReferenceCache.ReadValue(layer, head.Kv, Slot(p, prefix, ancestors), d);
            }

            output[d] = (float)(sum / total);
        }
    }

    /// <summary>The slot of a row's logical position.</summary>
    private static int Slot(int position, int prefix, ReadOnlySpan<int> ancestors) =>
        position < prefix ? position : ancestors[position - prefix];

    /// <summary>
    /// The products of all rows with the weights to one output: in double precision, or by the integers of quantised weights.
    /// </summary>
    private void Dots(InputRows x, CpuMatrix matrix, int output, ref double[] dots)
    {
        if (dots.Length < x.Count)
        {
            dots = new double[x.Count];
        }

        if (matrix is QuantisedMatrix quantised)
        {
            QuantisedInput integers = CpuInput.Integers(x, out bool stale);
            for (int r = 0; r < x.Count && stale; r++)
            {
                integers.Quantise(CpuInput.Read(x).Floats(r), r);
            }

            ReferenceSums.Sum(quantised.Layout, quantised.Data, output, integers, dots.AsSpan(0, x.Count));
            for (int r = 0; r < x.Count; r++)
            {
                // As the sum itself, in F32.
                dots[r] = (float)dots[r] * quantised.Factor(output);
            }

            return;
        }

        ReadOnlySpan<float> row = Row(matrix, output, ref _row);
        for (int r = 0; r < x.Count; r++)
        {
            dots[r] = Dot(row, CpuInput.Read(x).Floats(r));
        }
    }

    private static double Dot(ReadOnlySpan<float> weights, ReadOnlySpan<float> x)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++)
        {
            sum += (double)weights[i] * x[i];
        }

        return sum;
    }

    /// <summary>The weights to one output.</summary>
    private static ReadOnlySpan<float> Row(WeightMatrix matrix, int output, ref float[] room)
    {
        if (room.Length < matrix.Columns)
        {
            room = new float[matrix.Columns];
        }

        Span<float> row = room.AsSpan(0, matrix.Columns);
        ((CpuMatrix)matrix).ReadRow(output, row);
        return row;
    }

    private static double Activate(double x, Activation activation) => activation switch
    {
        Activation.GeluTanh => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
        Activation.Silu => x / (1 + Math.Exp(-x)),
        Activation.Sigmoid => 1 / (1 + Math.Exp(-x)),
        _ => x,
    };

    /// <summary><c>cap tanh(x / cap)</c>, or x where the cap is 0.</summary>
    private static double Cap(double x, float cap) => cap == 0 ? x : cap * Math.Tanh(x / cap);

    private static void Normalize(ReadOnlySpan<float> x, in Norm norm, Span<float> output)
    {
        if (norm.Kind == NormKind.LayerNorm)
        {
            LayerNorm(x, norm, output);
        }
        else
        {
            RmsNorm(x, norm.Weight.Floats(0), norm.Epsilon, output);
        }
    }

    private static void LayerNorm(ReadOnlySpan<float> x, in Norm norm, Span<float> output)
    {
        double mean = 0;
        foreach (float value in x)
        {
            mean += value;
        }

        mean /= x.Length;
        double variance = 0;
        foreach (float value in x)
        {
            variance += (value - mean) * (value - mean);
        }

        double scale = 1 / Math.Sqrt((variance / x.Length) + norm.Epsilon);
        for (int i = 0; i < x.Length; i++)
        {
            float bias = norm.Bias.Data == 0 ? 0 : norm.Bias.Floats(0)[i];
            output[i] = (float)(((x[i] - mean) * scale * norm.Weight.Floats(0)[i]) + bias);
        }
    }

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
