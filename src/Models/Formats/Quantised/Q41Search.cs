using System.Runtime.Intrinsics;
using Understory.Models.Tensors;
using Lanes = System.Runtime.Intrinsics.Vector256<float>;

namespace Understory.Models.Formats.Quantised;

/// <summary>
/// Brings 32 numbers into a block of Q4_1, <c>x = d code + m</c>, so that <c>E = sum of (d code + m - x)^2</c> is small. For some spacings
/// of codes over their range: nearest codes, and the d and m of least E for these codes, a linear problem of two unknowns. With
/// <c>A = sum c^2, B = sum c, C = sum c x, X = sum x</c>
/// <code>
/// d = (32 C - B X) / (32 A - B^2)      m = (X - d B) / 32      E = sum x^2 - d C - m X
/// </code>
/// The best pair is rounded to F16, and every number takes the code nearest to it. Products and sums are rounded one by one, so that all
/// machines write the same bytes.
/// </summary>
internal static unsafe class Q41Search
{
    private const int Elements = 32;
    private const int Parts = Elements / 8;
    private const float MostCode = 15;

    /// <summary>Codes over the range: beyond 15 the ends are cut.</summary>
    private static ReadOnlySpan<float> Spacings => [15, 15.75f, 16.5f, 17.25f];

    /// <summary>See <see cref="IWritableBlock.Write"/>.</summary>
    public static void Write(float* values, byte* to)
    {
        Lanes low = Vector256.Create(float.PositiveInfinity);
        Lanes high = Vector256.Create(float.NegativeInfinity);
        Lanes sum = default;
        Lanes squares = default;
        bool finite = true;
        for (int part = 0; part < Parts; part++)
        {
            Lanes x = Vector256.Load(values + (8 * part));
            finite &= Vector256.LessThanAll(Vector256.Abs(x), Vector256.Create(65504f));
            (low, high) = (Vector256.MinNative(low, x), Vector256.MaxNative(high, x));
            sum += x;
            squares += x * x;
        }

        if (!finite)
        {
            new Span<byte>(to, Q4_1.Bytes).Clear();
            *(ushort*)to = 0x7C00;
            return;
        }

        (float least, float most) = (-Largest(-low), Largest(high));
        (float total, float ofSquares) = (Total(sum), Total(squares));
        (float step, float min, float error) = (0, total / Elements, float.PositiveInfinity);
        foreach (float spacing in Spacings)
        {
            if (most > least && Solve(values, (most - least) / spacing, (least + most) / 2, total) is var (d, m, gain)
                && ofSquares - gain < error)
            {
                (step, min, error) = (d, m, ofSquares - gain);
            }
        }

        *(ushort*)to = Scalar.ToFloat16(step);
        *(ushort*)(to + 2) = Scalar.ToFloat16(min);
        Store(values, Scalar.FromFloat16(*(ushort*)to), Scalar.FromFloat16(*(ushort*)(to + 2)), to + 4);
    }

    /// <summary>The pair of least E for the codes <c>nearest((x - middle) / step + 7.5)</c>, and <c>d C + m X</c>.</summary>
    private static (float Step, float Min, float Gain) Solve(float* values, float step, float middle, float total)
    {
        Lanes a = default;
        Lanes b = default;
        Lanes c = default;
        for (int part = 0; part < Parts; part++)
        {
            Lanes x = Vector256.Load(values + (8 * part));
            Lanes code = Codes(x, step, middle - (MostCode / 2 * step));
            a += code * code;
            b += code;
            c += code * x;
        }

        (float squares, float codes, float products) = (Total(a), Total(b), Total(c));
        float determinant = (Elements * squares) - (codes * codes);
        float d = determinant > 0 ? Math.Max(((Elements * products) - (codes * total)) / determinant, 0) : 0;
        float m = (total - (d * codes)) / Elements;
        return (d, m, (d * products) + (m * total));
    }

    private static void Store(float* values, float step, float min, byte* to)
    {
        byte* codes = stackalloc byte[Elements];
        for (int part = 0; part < Parts; part++)
        {
            Vector256<int> code = Vector256.ConvertToInt32(Codes(Vector256.Load(values + (8 * part)), step, min));
            for (int i = 0; i < 8; i++)
            {
                codes[(8 * part) + i] = (byte)code[i];
            }
        }

        for (int i = 0; i < Elements / 2; i++)
        {
            to[i] = (byte)(codes[i] | (codes[i + (Elements / 2)] << 4));
        }
    }

    private static Lanes Codes(Lanes x, float step, float min)
    {
        Lanes inverse = Vector256.Create(step > 0 ? 1 / step : 0);
        Lanes code = Vector256.Round((x - Vector256.Create(min)) * inverse);
        return Vector256.MinNative(Vector256.MaxNative(code, default), Vector256.Create(MostCode));
    }

    /// <summary>Of all lanes, in their order.</summary>
    private static float Total(Lanes x)
    {
        float total = 0;
        for (int i = 0; i < 8; i++)
        {
            total += x[i];
        }

        return total;
    }

    private static float Largest(Lanes x)
    {
        float largest = x[0];
        for (int i = 1; i < 8; i++)
        {
            largest = Math.Max(largest, x[i]);
        }

        return largest;
    }
}
