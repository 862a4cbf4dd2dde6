using System.Runtime.Intrinsics;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>
/// A vector register as the kernels of quantised weights see it: lanes of 32 bits, one per output, each of them four bytes (four inputs),
/// two 16-bit words, an integer or a float. A lane never looks at another one, so wide and narrow vectors do the same arithmetic.
/// </summary>
internal unsafe interface IQuads<T>
    where T : unmanaged, IQuads<T>
{
    /// <summary>Lanes: 16, 8 or 4.</summary>
    static abstract int Outputs { get; }

    /// <summary>Whether there is an instruction for <see cref="Dot"/>.</summary>
    static abstract bool HasDot { get; }

    static abstract T Load(void* source);

    void Store(void* target);

    /// <summary>Four bytes, the same in every lane.</summary>
    static abstract T Quad(void* source);

    static abstract T Bytes(byte value);

    static abstract T Words(short value);

    static abstract T Ints(int value);

    static abstract T Floats(float value);

    /// <summary>Sixteen bytes for <see cref="Lookup"/>.</summary>
    static abstract T Load(Vector128<byte> table);

    /// <summary>Unsigned bytes, one per lane, as integers.</summary>
    static abstract T LoadBytes(byte* source);

    /// <summary>Unsigned 16-bit words, one per lane, as integers.</summary>
    static abstract T LoadWords(ushort* source);

    /// <summary>Signed bytes, one per lane, as the words <c>(s, s)</c>.</summary>
    static abstract T LoadTwice(sbyte* source);

    /// <summary>Signed bytes, two per lane, as the words <c>(s0, s1)</c>.</summary>
    static abstract T LoadPairs(sbyte* source);

    /// <summary>The words <c>(a, b)</c> of each lane as <c>(a, a)</c>.</summary>
    static abstract T FirstTwice(T pairs);

    /// <summary>The words <c>(a, b)</c> of each lane as <c>(b, b)</c>.</summary>
    static abstract T SecondTwice(T pairs);

    static abstract T operator &(T a, T b);

    static abstract T operator |(T a, T b);

    /// <summary>Of words: bits cross from byte to byte.</summary>
    static abstract T ShiftLeft(T a, int count);

    /// <inheritdoc cref="ShiftLeft"/>
    static abstract T ShiftRight(T a, int count);

    /// <summary>Each byte of <paramref name="indices"/>, below 16, replaced by that entry.</summary>
    static abstract T Lookup(T table, T indices);

    /// <summary>Words <c>(u0 s0 + u1 s1, u2 s2 + u3 s3)</c> of unsigned and signed bytes. The sums must fit.</summary>
    static abstract T MultiplyBytes(T unsigned, T signed);

    /// <summary>Integers <c>a0 b0 + a1 b1</c> of signed words.</summary>
    static abstract T MultiplyWords(T a, T b);

    /// <summary>Lower halves of the products of words.</summary>
    static abstract T MultiplyWordsLow(T a, T b);

    static abstract T AddWords(T a, T b);

    static abstract T SubtractWords(T a, T b);

    static abstract T AddInts(T a, T b);

    static abstract T SubtractInts(T a, T b);

    static abstract T MultiplyInts(T a, T b);

    static abstract T ShiftLeftInts(T a, int count);

    /// <summary>All bits of a lane where <c>a &gt; b</c>, as signed integers.</summary>
    static abstract T GreaterInts(T a, T b);

    /// <summary><c>mask ? a : b</c>.</summary>
    static abstract T Select(T mask, T a, T b);

    /// <summary>Integers <c>sum + u0 s0 + u1 s1 + u2 s2 + u3 s3</c>; only where <see cref="HasDot"/>.</summary>
    static abstract T Dot(T sum, T unsigned, T signed);

    static abstract T ToFloats(T ints);

    static abstract T MultiplyFloats(T a, T b);

    /// <summary><c>a b + c</c>, rounded once.</summary>
    static abstract T MultiplyAdd(T a, T b, T c);

    /// <summary><c>c - a b</c>, rounded once.</summary>
    static abstract T MultiplySubtract(T a, T b, T c);
}
