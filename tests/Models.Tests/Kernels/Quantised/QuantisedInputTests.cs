using Understory.Models.Kernels.Cpu.Quantised;

namespace Understory.Models.Tests.Kernels.Quantised;

public unsafe class QuantisedInputTests
{
    [Fact]
    public void Inputs_are_quantised_by_the_formula()
    {
        using var arena = new Arena();
        const int Columns = 96;
        float[][] rows = [.. Enumerable.Range(0, 40).Select(row => NastyInputs.Row(row, Columns, arena.Random))];
        rows[3][40] = float.NaN;
        rows[5][95] = float.NegativeInfinity;
        var input = new QuantisedInput(arena.Allocate(QuantisedInput.Bytes(rows.Length, Columns)), rows.Length, Columns);
        for (int row = 0; row < rows.Length; row++)
        {
            fixed (float* x = rows[row])
            {
                input.Quantise(x, row);
            }
        }

        for (int row = 0; row < rows.Length; row++)
        {
            for (int block = 0; block < Columns / 32; block++)
            {
                byte* record = input.RecordsOf(row) + (block * input.BlockStride);
                Check(rows[row].AsSpan(block * 32, 32), record, input.WordsOf(row) + (block * input.WordStride));
            }
        }
    }

    private static void Check(ReadOnlySpan<float> x, byte* record, byte* words)
    {
        float largest = 0;
        bool finite = true;
        foreach (float value in x)
        {
            largest = MathF.Max(largest, MathF.Abs(value));
            finite &= float.IsFinite(value);
        }

        bool zero = largest < MathF.ScaleB(1, -100);
        float scale = *(float*)(record + QuantisedInput.Scale);
        Assert.Equal(!finite ? float.NaN : zero ? 0 : largest / 127f, scale);
        short* sums = (short*)(record + QuantisedInput.Sums);
        int[] expected = new int[2];
        for (int i = 0; i < 32; i++)
        {
            int q = !finite || zero ? 0 : (int)MathF.Round(x[i] * (127f / largest), MidpointRounding.ToEven);
            Assert.Equal(q, (sbyte)record[i]);
            Assert.Equal(q, ((short*)words)[((i & 1) * 16) + (i / 4 * 2) + (i % 4 / 2)]);
            Assert.InRange(q, -127, 127);
            expected[i / 16] += q;
        }

        Assert.Equal(expected[0], sums[0]);
        Assert.Equal(expected[1], sums[1]);
    }
}
