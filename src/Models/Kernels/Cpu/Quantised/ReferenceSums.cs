using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>The arithmetic of <see cref="QuantisedSums"/> in plain loops: the truth that the fast kernels equal bit for bit.</summary>
internal static unsafe class ReferenceSums
{
    /// <inheritdoc cref="SumKernel.Sum"/>
    public static void Sum(QuantisedLayout layout, byte* block, in QuantisedInput input, int firstRow, int rows, float* sums)
    {
        var weights = new QuantisedRow(layout.Form, layout.Columns);
        for (int output = 0; output < QuantisedLayout.Outputs; output++)
        {
            QuantisedPacker.Unpack(layout, block, output, weights);
            for (int row = 0; row < rows; row++)
            {
                sums[(row * QuantisedLayout.Outputs) + output] = Sum(weights, input, firstRow + row);
            }
        }
    }

    /// <summary>The sums of one output.</summary>
    /// <param name="matrix">The first block.</param>
    /// <param name="sums"><c>[rows]</c></param>
    public static void Sum(QuantisedLayout layout, nint matrix, int output, in QuantisedInput input, Span<double> sums)
    {
        var weights = new QuantisedRow(layout.Form, layout.Columns);
        QuantisedPacker.Unpack(layout, (byte*)matrix, output, weights);
        for (int row = 0; row < sums.Length; row++)
        {
            sums[row] = Sum(weights, input, row);
        }
    }

    private static float Sum(QuantisedRow weights, in QuantisedInput input, int row)
    {
        QuantisedForm form = weights.Form;
        byte* record = input.RecordsOf(row);
        // Inputs that are folded into the sum together: those of a scale of the input, or of a narrower wide block.
        int fold = Math.Min(QuantisedLayout.Inputs, form.Wide);
        float y = 0;
        for (int first = 0; first < input.Columns; first += QuantisedLayout.Inputs)
        {
            float scale = *(float*)(record + QuantisedInput.Scale);
            for (int part = 0; part < QuantisedLayout.Inputs; part += fold)
            {
                int total = 0;
                int minTotal = 0;
                for (int i = part; i < part + fold; i++)
                {
                    int column = first + i;
                    int q = (sbyte)record[i];
                    total += (form.SubScales ? weights.Scales[column / form.Sub] : 1) * form.Value(weights.Codes[column]) * q;
                    minTotal += (form.SubMins ? weights.Mins[column / form.Sub] : 1) * q;
                }

                int wide = (first + part) / form.Wide;
                y = MathF.FusedMultiplyAdd(total, form.Wider(weights.WideScales[wide]) * scale, y);
                if (form.Mins)
                {
                    y = MathF.FusedMultiplyAdd(minTotal, -(form.Wider(weights.WideMins[wide]) * scale), y);
                }
            }

            record += input.BlockStride;
        }

        return y;
    }
}
