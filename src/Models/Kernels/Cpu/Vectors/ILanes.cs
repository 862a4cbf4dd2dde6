namespace Understory.Models.Kernels.Cpu.Vectors;

/// <summary>
/// Floats side by side: the one vocabulary in which the fast kernels are written. A lane never looks at another one
/// except in <see cref="Sum"/>, whose order is fixed (halves are added to each other until one lane is left), so that a machine with
/// narrower vectors does the same arithmetic. Bits are the same lanes seen as 32-bit integers; a mask has all bits of a lane set or none.
/// </summary>
internal unsafe interface ILanes<T>
    where T : unmanaged, ILanes<T>
{
    /// <summary>Lanes of one value.</summary>
    static abstract int Width { get; }

    /// <summary>Whether sixteen of these fit thirty times into the machine's registers (else about seven times).</summary>
    static abstract bool ManyRegisters { get; }

    static abstract T Broadcast(float value);

    static abstract T BroadcastBits(uint bits);

    /// <summary>0, 1, 2, ... as bits, counted on from <paramref name="first"/>.</summary>
    static abstract T Count(uint first);

    static abstract T Load(float* source);

    /// <summary>16-bit integers, zero-extended to the bits of each lane.</summary>
    static abstract T LoadWidened(ushort* source);

    /// <summary>Signed bytes, sign-extended to the bits of each lane.</summary>
    static abstract T LoadSigned(sbyte* source);

    /// <summary>Signed 16-bit integers, sign-extended to the bits of each lane.</summary>
    static abstract T LoadSigned(short* source);

    void Store(float* target);

    /// <summary>Stores the low 16 bits of each lane.</summary>
    void StoreNarrowed(ushort* target);

    static abstract T operator +(T a, T b);

    static abstract T operator -(T a, T b);

    static abstract T operator *(T a, T b);

    static abstract T operator /(T a, T b);

    /// <summary><c>a b + c</c>, rounded once where the machine can.</summary>
    static abstract T MultiplyAdd(T a, T b, T c);

    /// <summary>Of numbers; either one where one of the two is NaN.</summary>
    static abstract T Max(T a, T b);

    /// <inheritdoc cref="Max"/>
    static abstract T Min(T a, T b);

    /// <summary>Mask; no lane where one of the two is NaN.</summary>
    static abstract T Greater(T a, T b);

    /// <inheritdoc cref="Greater"/>
    static abstract T GreaterOrEqual(T a, T b);

    /// <summary><c>mask ? a : b</c>.</summary>
    static abstract T Select(T mask, T a, T b);

    static abstract T operator &(T a, T b);

    static abstract T operator |(T a, T b);

    static abstract T operator ^(T a, T b);

    static abstract T operator <<(T a, int count);

    /// <summary>Shift right of the bits, zeros from the left.</summary>
    static abstract T operator >>>(T a, int count);

    static abstract T AddBits(T a, T b);

    static abstract T SubtractBits(T a, T b);

    /// <summary>The bits as signed integers, to float.</summary>
    static abstract T ToFloat(T bits);

    /// <summary>Low and high half of the 64-bit products of the bits with one factor.</summary>
    static abstract void MultiplyWide(T a, uint factor, out T low, out T high);

    /// <summary>All lanes added up: the upper half to the lower half, until one is left.</summary>
    float Sum();

    float Largest();

    /// <summary>The top bit of each lane, lane 0 lowest.</summary>
    uint TopBits();
}
