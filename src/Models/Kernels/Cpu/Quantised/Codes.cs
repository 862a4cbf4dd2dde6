using System.Runtime.CompilerServices;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>
/// How the codes of 32 inputs of 16 outputs lie in lines of 64 bytes, and how they become eight vectors of unsigned bytes, vector
/// <c>j</c> with the inputs <c>4 j .. 4 j + 3</c> of each output. A line is a byte for each of 16 outputs and four inputs; the bits of
/// a byte belong to several such quads.
/// </summary>
internal unsafe interface ICodes
{
    static abstract int Lines { get; }

    static abstract void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>;
}

/// <summary>Two lines; quad <c>4 i + j</c> is bits <c>2 j, 2 j + 1</c> of line <c>i</c>.</summary>
internal readonly unsafe struct Codes2 : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        Spread(T.Load(weights.Codes), out q0, out q1, out q2, out q3);
        Spread(T.Load(weights.Codes + 64), out q4, out q5, out q6, out q7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Spread<T>(T line, out T a, out T b, out T c, out T d)
        where T : unmanaged, IQuads<T>
    {
        T mask = T.Bytes(3);
        a = line & mask;
        b = T.ShiftRight(line, 2) & mask;
        c = T.ShiftRight(line, 4) & mask;
        d = T.ShiftRight(line, 6) & mask;
    }
}

/// <summary>The lines of <see cref="Codes2"/>, and one with the third bits: bit <c>j</c> of quad <c>j</c>.</summary>
internal readonly unsafe struct Codes3 : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 3;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        Codes2.Load(weights, out q0, out q1, out q2, out q3, out q4, out q5, out q6, out q7);
        T mask = T.Bytes(4);
        T top = T.Load(weights.Codes + 128);
        q0 |= T.ShiftLeft(top, 2) & mask;
        q1 |= T.ShiftLeft(top, 1) & mask;
        q2 |= top & mask;
        q3 |= T.ShiftRight(top, 1) & mask;
        q4 |= T.ShiftRight(top, 2) & mask;
        q5 |= T.ShiftRight(top, 3) & mask;
        q6 |= T.ShiftRight(top, 4) & mask;
        q7 |= T.ShiftRight(top, 5) & mask;
    }
}

/// <summary>Four lines; quads <c>2 i</c> and <c>2 i + 1</c> are the low and high nibbles of line <c>i</c>.</summary>
internal readonly unsafe struct Codes4 : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        Spread(T.Load(weights.Codes), out q0, out q1);
        Spread(T.Load(weights.Codes + 64), out q2, out q3);
        Spread(T.Load(weights.Codes + 128), out q4, out q5);
        Spread(T.Load(weights.Codes + 192), out q6, out q7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Spread<T>(T line, out T low, out T high)
        where T : unmanaged, IQuads<T>
    {
        T mask = T.Bytes(15);
        low = line & mask;
        high = T.ShiftRight(line, 4) & mask;
    }
}

/// <summary>The lines of <see cref="Codes4"/>, and one with the fifth bits: bit <c>j</c> of quad <c>j</c>.</summary>
internal readonly unsafe struct Codes5 : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 5;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        Codes4.Load(weights, out q0, out q1, out q2, out q3, out q4, out q5, out q6, out q7);
        T mask = T.Bytes(16);
        T top = T.Load(weights.Codes + 256);
        q0 |= T.ShiftLeft(top, 4) & mask;
        q1 |= T.ShiftLeft(top, 3) & mask;
        q2 |= T.ShiftLeft(top, 2) & mask;
        q3 |= T.ShiftLeft(top, 1) & mask;
        q4 |= top & mask;
        q5 |= T.ShiftRight(top, 1) & mask;
        q6 |= T.ShiftRight(top, 2) & mask;
        q7 |= T.ShiftRight(top, 3) & mask;
    }
}

/// <summary>The lines of <see cref="Codes4"/>, and two with the upper bits, laid out as <see cref="Codes2"/>.</summary>
internal readonly unsafe struct Codes6 : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 6;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        Codes4.Load(weights, out q0, out q1, out q2, out q3, out q4, out q5, out q6, out q7);
        AddTop(T.Load(weights.Codes + 256), ref q0, ref q1, ref q2, ref q3);
        AddTop(T.Load(weights.Codes + 320), ref q4, ref q5, ref q6, ref q7);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddTop<T>(T top, ref T a, ref T b, ref T c, ref T d)
        where T : unmanaged, IQuads<T>
    {
        T mask = T.Bytes(0x30);
        a |= T.ShiftLeft(top, 4) & mask;
        b |= T.ShiftLeft(top, 2) & mask;
        c |= top & mask;
        d |= T.ShiftRight(top, 2) & mask;
    }
}

/// <summary>Eight lines, one per quad.</summary>
internal readonly unsafe struct Codes8 : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        q0 = T.Load(weights.Codes);
        q1 = T.Load(weights.Codes + 64);
        q2 = T.Load(weights.Codes + 128);
        q3 = T.Load(weights.Codes + 192);
        q4 = T.Load(weights.Codes + 256);
        q5 = T.Load(weights.Codes + 320);
        q6 = T.Load(weights.Codes + 384);
        q7 = T.Load(weights.Codes + 448);
    }
}

/// <summary>The lines of <see cref="Codes4"/>, each code standing for a byte of a table.</summary>
internal readonly unsafe struct LookupCodes : ICodes
{
    public static int Lines
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Load<T>(in StepWeights weights, out T q0, out T q1, out T q2, out T q3, out T q4, out T q5, out T q6, out T q7)
        where T : unmanaged, IQuads<T>
    {
        Codes4.Load(weights, out q0, out q1, out q2, out q3, out q4, out q5, out q6, out q7);
        T table = T.Load(weights.Layout.Table);
        q0 = T.Lookup(table, q0);
        q1 = T.Lookup(table, q1);
        q2 = T.Lookup(table, q2);
        q3 = T.Lookup(table, q3);
        q4 = T.Lookup(table, q4);
        q5 = T.Lookup(table, q5);
        q6 = T.Lookup(table, q6);
        q7 = T.Lookup(table, q7);
    }
}
