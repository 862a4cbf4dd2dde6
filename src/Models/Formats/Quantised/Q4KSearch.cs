using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Understory.Models.Tensors;
using Lanes = System.Runtime.Intrinsics.Vector256<float>;

namespace Understory.Models.Formats.Quantised;

/// <summary>
/// Brings 256 numbers into a block of Q4_K, <c>x = (d sc) code - (dmin mn)</c>, so that <c>E = sum of u (s code - m - x)^2</c> is small,
/// where <c>s = d sc</c>, <c>m = dmin mn</c> and <c>u = rms(x of the sub-block) + |x|</c>: large weights count more, none count nothing.
/// <para>
/// 1. Each sub-block of 32 by itself. For some spacings of codes over its range: nearest codes, and s and m of least E for these codes, a
/// linear problem of two unknowns. With <c>A = sum u c^2, B = sum u c, C = sum u c x, W = sum u, X = sum u x</c>
/// <code>
/// s = (C W - B X) / (A W - B^2)      m = (B s - X) / W      where m would be below 0: m = 0, s = C / A
/// E = s^2 A + m^2 W - 2 s m B - 2 s C + 2 m X + sum u x^2
/// </code>
/// The best pair is improved by taking nearest codes, and the best pair for them, in turn.
/// </para>
/// <para>
/// 2. <c>d = max s / 63</c> and <c>dmin = max m / 63</c>, rounded up to F16. For each sub-block the sc next to s / d are tried, each with
/// the mn that is best for its codes.
/// </para>
/// <para>
/// 3. For fixed codes, sc and mn the d and dmin of least E over the block are again a linear problem of two unknowns; step 2 is done once
/// more with these, and what came of it is kept where E is smaller. Twice.
/// </para>
/// The eight sub-blocks are the lanes of vectors; products and sums are rounded one by one, so that all machines write the same bytes.
/// </summary>
internal static unsafe class Q4KSearch
{
    private const int Subs = 8;
    private const int SubElements = 32;
    private const float MostCode = 15;
    private const float MostStep = 63;

    /// <summary>Beyond this d has no number in F16.</summary>
    private const float Largest = 65504 * MostStep * MostCode;

    /// <summary>See <see cref="IWritableBlock.Write"/>.</summary>
    [SkipLocalsInit]
    public static void Write(float* values, byte* to)
    {
        Lanes* room = stackalloc Lanes[2 * SubElements];
        var block = new Numbers(values, room);
        if (!block.Fit)
        {
            new Span<byte>(to, Q4_K.Bytes).Clear();
            *(ushort*)to = 0x7C00;
            return;
        }

        Pair pair = Search(block);
        ushort scale = RoundedUp(Most(pair.Scale) / MostStep);
        ushort min = RoundedUp(Most(pair.Min) / MostStep);
        Steps best = Choose(block, pair, scale, min);
        const int Rounds = 2;
        for (int round = 0; round < Rounds; round++)
        {
            (scale, min) = Refit(block, best);
            Steps other = Choose(block, pair, scale, min);
            if (!(other.Error < best.Error))
            {
                break;
            }

            best = other;
        }

        Store(block, best, to);
    }

    /// <summary>Step 1.</summary>
    private static Pair Search(in Numbers block)
    {
        Lanes range = block.Highest - block.Lowest;
        Lanes perRange = Inverse(range);
        var best = new Pair(default, default, Vector256.Create(float.PositiveInfinity));
        for (int spacing = 0; spacing < Spacings.Length; spacing++)
        {
            best = best.Better(Solve(block, Vector256.Create(Spacings[spacing]) * perRange, -block.Lowest));
        }

        const int Turns = 2;
        for (int turn = 0; turn < Turns; turn++)
        {
            best = best.Better(Solve(block, Inverse(best.Scale), best.Min));
        }

        return best;
    }

    /// <summary>Codes over the range of a sub-block: beyond 15 the ends are cut.</summary>
    private static ReadOnlySpan<float> Spacings => [14, 14.4f, 14.8f, 15.2f, 15.6f, 16, 16.4f, 16.8f, 17.2f, 17.6f, 18];

    /// <summary>The pair of least E for the codes <c>nearest((x + min) / scale)</c>.</summary>
    private static Pair Solve(in Numbers block, Lanes inverse, Lanes min)
    {
        Sums sums = block.Sum(inverse, min);
        Lanes determinant = (sums.A * block.W) - (sums.B * sums.B);
        Lanes solvable = Vector256.GreaterThan(determinant, Vector256.Create(1e-6f) * sums.A * block.W);
        Lanes scale = Vector256.ConditionalSelect(solvable, ((sums.C * block.W) - (sums.B * block.X)) / determinant, default);
        Lanes best = Vector256.ConditionalSelect(block.Some, ((sums.B * scale) - block.X) / block.W, default);
        Lanes below = Vector256.LessThan(best, default);
        Lanes alone = Vector256.ConditionalSelect(Vector256.GreaterThan(sums.A, default), sums.C / sums.A, default);
        scale = Vector256.MaxNative(Vector256.ConditionalSelect(below, alone, scale), default);
        best = Vector256.MaxNative(best, default);
        return new Pair(scale, best, block.Error(sums, scale, best));
    }

    /// <summary>Step 2.</summary>
    private static Steps Choose(in Numbers block, in Pair pair, ushort scale, ushort min)
    {
        Lanes d = Vector256.Create(Scalar.FromFloat16(scale));
        Lanes dmin = Vector256.Create(Scalar.FromFloat16(min));
        Lanes perD = Inverse(d);
        Lanes perMin = Inverse(dmin);
        var best = new Steps { Scale = scale, Min = min, Errors = Vector256.Create(float.PositiveInfinity) };
        for (int delta = -1; delta <= 1; delta++)
        {
            Lanes sc = Step((pair.Scale * perD) + Vector256.Create((float)delta));
            Lanes s = d * sc;
            Lanes inverse = Inverse(s);
            Sums sums = block.Sum(inverse, pair.Min);
            Lanes mn = Step(Vector256.ConditionalSelect(block.Some, ((sums.B * s) - block.X) / block.W, default) * perMin);
            sums = block.Sum(inverse, dmin * mn);
            best.Take(sc, mn, sums, block.Error(sums, s, dmin * mn));
        }

        best.Error = Total(best.Errors);
        return best;
    }

    /// <summary>Step 3: <c>d P - dmin Q = U, d Q - dmin R = V</c>.</summary>
    private static (ushort Scale, ushort Min) Refit(in Numbers block, in Steps steps)
    {
        float p = Total(steps.Sc * steps.Sc * steps.Sums.A);
        float q = Total(steps.Sc * steps.Mn * steps.Sums.B);
        float r = Total(steps.Mn * steps.Mn * block.W);
        float u = Total(steps.Sc * steps.Sums.C);
        float v = Total(steps.Mn * block.X);
        float determinant = (p * r) - (q * q);
        float d = determinant > 1e-6f * p * r ? ((u * r) - (q * v)) / determinant : p > 0 ? u / p : 0;
        float min = r > 0 ? Math.Max(0, ((d * q) - v) / r) : 0;
        return (Scalar.ToFloat16(d), Scalar.ToFloat16(min));
    }

    /// <summary>The block as <see cref="Q4_K.Read"/> takes it apart.</summary>
    private static void Store(in Numbers block, in Steps steps, byte* to)
    {
        *(ushort*)to = steps.Scale;
        *(ushort*)(to + 2) = steps.Min;
        for (int sub = 0; sub < 4; sub++)
        {
            (int low, int high) = ((int)steps.Sc[sub], (int)steps.Sc[sub + 4]);
            (int lowMin, int highMin) = ((int)steps.Mn[sub], (int)steps.Mn[sub + 4]);
            to[4 + sub] = (byte)(low | ((high >> 4) << 6));
            to[8 + sub] = (byte)(lowMin | ((highMin >> 4) << 6));
            to[12 + sub] = (byte)((high & 15) | ((highMin & 15) << 4));
        }

        Lanes inverse = Inverse(Vector256.Create(Scalar.FromFloat16(steps.Scale)) * steps.Sc);
        Lanes min = Vector256.Create(Scalar.FromFloat16(steps.Min)) * steps.Mn;
        for (int i = 0; i < SubElements; i++)
        {
            Vector256<int> codes = Vector256.ConvertToInt32(block.Codes(i, inverse, min));
            for (int two = 0; two < Subs / 2; two++)
            {
                to[16 + (SubElements * two) + i] = (byte)(codes[2 * two] | (codes[(2 * two) + 1] << 4));
            }
        }
    }

    /// <summary>In F16, not below x: of the smallest numbers half a step is much, and 63 of what is too small would not reach.</summary>
    private static ushort RoundedUp(float x)
    {
        ushort bits = Scalar.ToFloat16(x);
        return Scalar.FromFloat16(bits) < x ? (ushort)(bits + 1) : bits;
    }

    /// <summary>1 / x; 0 of 0.</summary>
    private static Lanes Inverse(Lanes x) =>
        Vector256.ConditionalSelect(Vector256.GreaterThan(x, default), Vector256<float>.One / x, default);

    /// <summary>A step of six bits.</summary>
    private static Lanes Step(Lanes x) =>
        Vector256.MinNative(Vector256.MaxNative(Vector256.Round(x), default), Vector256.Create(MostStep));

    /// <summary>Of all lanes, in their order.</summary>
    private static float Total(Lanes x)
    {
        float total = 0;
        for (int i = 0; i < Subs; i++)
        {
            total += x[i];
        }

        return total;
    }

    private static float Most(Lanes x)
    {
        Vector128<float> half = Vector128.MaxNative(x.GetLower(), x.GetUpper());
        return MathF.Max(MathF.Max(half[0], half[1]), MathF.Max(half[2], half[3]));
    }

    /// <summary>s and m of each sub-block, and what they leave.</summary>
    private readonly record struct Pair(Lanes Scale, Lanes Min, Lanes Error)
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Pair Better(in Pair other)
        {
            Lanes better = Vector256.LessThan(other.Error, Error);
            return new Pair(
                Vector256.ConditionalSelect(better, other.Scale, Scale),
                Vector256.ConditionalSelect(better, other.Min, Min),
                Vector256.ConditionalSelect(better, other.Error, Error));
        }
    }

    /// <summary>Of some codes: see <see cref="Q4KSearch"/>.</summary>
    private readonly record struct Sums(Lanes A, Lanes B, Lanes C);

    /// <summary>What is written, less the codes.</summary>
    private struct Steps
    {
        public ushort Scale;
        public ushort Min;
        public Lanes Sc;
        public Lanes Mn;
        public Sums Sums;
        public Lanes Errors;
        public float Error;

        /// <summary>Takes over the sub-blocks that are better so.</summary>
        public void Take(Lanes sc, Lanes mn, in Sums sums, Lanes errors)
        {
            Lanes better = Vector256.LessThan(errors, Errors);
            Sc = Vector256.ConditionalSelect(better, sc, Sc);
            Mn = Vector256.ConditionalSelect(better, mn, Mn);
            Sums = new Sums(
                Vector256.ConditionalSelect(better, sums.A, Sums.A),
                Vector256.ConditionalSelect(better, sums.B, Sums.B),
                Vector256.ConditionalSelect(better, sums.C, Sums.C));
            Errors = Vector256.ConditionalSelect(better, errors, Errors);
        }
    }

    /// <summary>The numbers of a block with their weights u, and what depends on them alone.</summary>
    private readonly struct Numbers
    {
        private readonly Lanes* _x;
        private readonly Lanes* _u;
        private readonly Lanes _squares;

        /// <param name="values">One sub-block after the other.</param>
        /// <param name="room">Of 64.</param>
        public Numbers(float* values, Lanes* room)
        {
            _x = room;
            _u = room + SubElements;
            for (int i = 0; i < SubElements; i++)
            {
                for (int sub = 0; sub < Subs; sub++)
                {
                    ((float*)(_x + i))[sub] = values[(sub * SubElements) + i];
                }
            }

            Lanes squares = default;
            Lowest = default;
            Highest = _x[0];
            for (int i = 0; i < SubElements; i++)
            {
                squares += _x[i] * _x[i];
                Lowest = Vector256.MinNative(Lowest, _x[i]);
                Highest = Vector256.MaxNative(Highest, _x[i]);
                Fit = Vector256.LessThanAll(Vector256.Abs(_x[i]), Vector256.Create(Largest)) && (i == 0 || Fit);
            }

            Lanes rms = Vector256.Sqrt(squares * Vector256.Create(1f / SubElements));
            for (int i = 0; i < SubElements; i++)
            {
                _u[i] = rms + Vector256.Abs(_x[i]);
                Lanes ux = _u[i] * _x[i];
                W += _u[i];
                X += ux;
                _squares += ux * _x[i];
            }

            Some = Vector256.GreaterThan(W, default);
        }

        /// <summary>All are finite and none too large.</summary>
        public bool Fit { get; }

        /// <summary>At most 0: a code of 0 is -m.</summary>
        public Lanes Lowest { get; }

        public Lanes Highest { get; }

        public Lanes W { get; }

        public Lanes X { get; }

        /// <summary>Sub-blocks that are not all zero.</summary>
        public Lanes Some { get; }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Lanes Codes(int i, Lanes inverse, Lanes min) =>
            Vector256.MinNative(Vector256.MaxNative(Vector256.Round((_x[i] + min) * inverse), default), Vector256.Create(MostCode));

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public Sums Sum(Lanes inverse, Lanes min)
        {
            Lanes a = default;
            Lanes b = default;
            Lanes c = default;
            for (int i = 0; i < SubElements; i++)
            {
                Lanes code = Codes(i, inverse, min);
                Lanes weighted = _u[i] * code;
                a += weighted * code;
                b += weighted;
                c += weighted * _x[i];
            }

            return new Sums(a, b, c);
        }

        public Lanes Error(in Sums sums, Lanes s, Lanes m)
        {
            Lanes codes = (s * s * sums.A) - (Vector256.Create(2f) * s * ((m * sums.B) + sums.C));
            return codes + (m * m * W) + (Vector256.Create(2f) * m * X) + _squares;
        }
    }
}
