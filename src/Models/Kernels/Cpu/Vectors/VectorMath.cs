using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Vectors;

/// <summary>
/// Elementary functions, written once: a value has the same result in every lane and beside any other. (Library functions round a value
/// differently alone and in a vector.) Reductions and polynomials after Moshier's Cephes (expf, logf).
/// </summary>
internal static unsafe class VectorMath
{
    private const float Log2E = 1.44269504f;

    /// <summary>ln 2 = Ln2High + Ln2Low; the high part has nine bits, so that its product with an exponent is exact.</summary>
    private const float Ln2High = 0.693359375f;

    private const float Ln2Low = -2.12194440e-4f;

    /// <summary>Adding it leaves the nearest integer in the low bits.</summary>
    public const float RoundToInteger = 12582912;

    private const uint SqrtHalf = 0x3F3504F3;

    /// <summary>e^x to 1 ulp or so; 0 below -104, infinity above 88.73. Not for NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Exp<T>(T x)
        where T : unmanaged, ILanes<T>
    {
        x = T.Min(T.Max(x, T.Broadcast(-104)), T.Broadcast(89));
        T shifted = T.MultiplyAdd(x, T.Broadcast(Log2E), T.Broadcast(RoundToInteger));
        T n = shifted - T.Broadcast(RoundToInteger);
        T r = T.MultiplyAdd(n, T.Broadcast(-Ln2High), x);
        r = T.MultiplyAdd(n, T.Broadcast(-Ln2Low), r);
        T p = T.Broadcast(1.9875691500e-4f);
        p = T.MultiplyAdd(p, r, T.Broadcast(1.3981999507e-3f));
        p = T.MultiplyAdd(p, r, T.Broadcast(8.3334519073e-3f));
        p = T.MultiplyAdd(p, r, T.Broadcast(4.1665795894e-2f));
        p = T.MultiplyAdd(p, r, T.Broadcast(1.6666665459e-1f));
        p = T.MultiplyAdd(p, r, T.Broadcast(5.0000001201e-1f));
        p = T.MultiplyAdd(p, r * r, r) + T.Broadcast(1);

        // 2^n in two factors, n = n1 + n2, each of them a normal number; the exponents carry the bias 127.
        T biased = T.AddBits(T.SubtractBits(shifted, T.Broadcast(RoundToInteger)), T.BroadcastBits(2 * 127));
        T first = biased >>> 1;
        T second = T.SubtractBits(biased, first);
        return p * (first << 23) * (second << 23);
    }

    /// <summary>Natural logarithm of positive normal numbers, to 1 ulp or so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Log<T>(T x)
        where T : unmanaged, ILanes<T>
    {
        Split(x, out T mantissa, out T exponent);
        return Log(mantissa - T.Broadcast(1), exponent);
    }

    /// <summary>
    /// The noise of the decision rule (see <see cref="GumbelNoise"/>) from random bits: <c>-log(-log1p(-u))</c>, <c>u = (bits + 1/2)
    /// 2^-32</c>. The tails are exact because both u and 1 - u are made from the integer.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Gumbel<T>(T bits)
        where T : unmanaged, ILanes<T>
    {
        T u = ToUnit(bits);
        T rest = ToUnit(bits ^ T.BroadcastBits(uint.MaxValue));
        Split(rest, out T mantissa, out T exponent);
        // Where 1 - u is at least sqrt(1/2) the exponent is 0 and log1p's argument is -u itself, however small.
        T argument = T.Select(
            T.GreaterOrEqual(rest, T.BroadcastBits(SqrtHalf)), T.Broadcast(0) - u, mantissa - T.Broadcast(1));
        T inner = T.Broadcast(0) - Log(argument, exponent);
        return T.Broadcast(0) - Log(inner);
    }

    /// <summary><c>x / (1 + e^-x)</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Silu<T>(T x)
        where T : unmanaged, ILanes<T> => x / (Exp(T.Broadcast(0) - x) + T.Broadcast(1));

    /// <summary><c>1 / (1 + e^-x)</c>; NaN stays NaN.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Sigmoid<T>(T x)
        where T : unmanaged, ILanes<T> =>
        T.Select(T.GreaterOrEqual(x, x), T.Broadcast(1) / (Exp(T.Broadcast(0) - x) + T.Broadcast(1)), x);

    /// <summary>
    /// <c>0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))</c>, as <c>x / (1 + e^-2a)</c> with a the argument of tanh: the same
    /// function without the cancellation near -1.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T GeluTanh<T>(T x)
        where T : unmanaged, ILanes<T>
    {
        T minusTwoA = x * T.MultiplyAdd(x * x, T.Broadcast(-2 * 0.7978845608f * 0.044715f), T.Broadcast(-2 * 0.7978845608f));
        return x / (Exp(minusTwoA) + T.Broadcast(1));
    }

    /// <summary><c>1 - 2 / (e^2x + 1)</c>, to some 1e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Tanh<T>(T x)
        where T : unmanaged, ILanes<T> => T.Broadcast(1) - (T.Broadcast(2) / (Exp(x + x) + T.Broadcast(1)));

    /// <summary>Up to 16 elements, the other lanes zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Load<T>(float* source, int count)
        where T : unmanaged, ILanes<T> => count == 16 ? T.Load(source) : LoadPart<T>(source, count);

    /// <summary>Up to 15 elements, the other lanes zero.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static T LoadPart<T>(float* source, int count)
        where T : unmanaged, ILanes<T>
    {
        float* part = stackalloc float[16];
        new Span<float>(part, 16).Clear();
        new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(part, 16));
        return T.Load(part);
    }

    /// <summary>The first <paramref name="count"/> lanes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void StorePart<T>(T value, float* target, int count)
        where T : unmanaged, ILanes<T>
    {
        float* part = stackalloc float[16];
        value.Store(part);
        new ReadOnlySpan<float>(part, count).CopyTo(new Span<float>(target, count));
    }

    /// <summary>x = mantissa 2^exponent with sqrt(1/2) &lt;= mantissa &lt; sqrt(2).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split<T>(T x, out T mantissa, out T exponent)
        where T : unmanaged, ILanes<T>
    {
        T offset = T.SubtractBits(x, T.BroadcastBits(SqrtHalf));
        exponent = T.ToFloat(T.SubtractBits(T.AddBits(offset, T.BroadcastBits(128u << 23)) >>> 23, T.BroadcastBits(128)));
        mantissa = T.AddBits(offset & T.BroadcastBits(0x7FFFFF), T.BroadcastBits(SqrtHalf));
    }

    /// <summary>log((1 + f) 2^exponent) for sqrt(1/2) &lt;= 1 + f &lt; sqrt(2).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Log<T>(T f, T exponent)
        where T : unmanaged, ILanes<T>
    {
        T square = f * f;
        T p = T.Broadcast(7.0376836292e-2f);
        p = T.MultiplyAdd(p, f, T.Broadcast(-1.1514610310e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(1.1676998740e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(-1.2420140846e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(1.4249322787e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(-1.6668057665e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(2.0000714765e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(-2.4999993993e-1f));
        p = T.MultiplyAdd(p, f, T.Broadcast(3.3333331174e-1f));
        p = p * f * square;
        p = T.MultiplyAdd(exponent, T.Broadcast(Ln2Low), p);
        p = T.MultiplyAdd(square, T.Broadcast(-0.5f), p);
        return T.MultiplyAdd(exponent, T.Broadcast(Ln2High), f + p);
    }

    /// <summary><c>(bits + 1/2) 2^-32</c>, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T ToUnit<T>(T bits)
        where T : unmanaged, ILanes<T>
    {
        T high = T.ToFloat(bits >>> 16) * T.Broadcast(1.52587890625e-5f);
        T low = (T.ToFloat(bits & T.BroadcastBits(0xFFFF)) + T.Broadcast(0.5f)) * T.Broadcast(2.3283064365386963e-10f);
        return high + low;
    }
}
