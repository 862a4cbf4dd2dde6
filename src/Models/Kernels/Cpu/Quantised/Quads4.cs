using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Four outputs in one 128-bit register, on any machine.</summary>
internal readonly unsafe struct Quads4(Vector128<byte> value) : IQuads<Quads4>
{
    private readonly Vector128<byte> _value = value;

    public static int Outputs
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4;
    }

    public static bool HasDot
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Load(void* source) => new(Vector128.Load((byte*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(void* target) => _value.Store((byte*)target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Quad(void* source) => new(Vector128.Create(*(int*)source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Bytes(byte value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Words(short value) => new(Vector128.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Ints(int value) => new(Vector128.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Floats(float value) => new(Vector128.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Load(Vector128<byte> table) => new(table);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 LoadBytes(byte* source) => new(Vector128.Create(source[0], source[1], source[2], (int)source[3]).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 LoadWords(ushort* source) => new(Vector128.Create(source[0], source[1], source[2], (int)source[3]).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 LoadTwice(sbyte* source)
    {
        Vector128<short> words = Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(int*)source).AsSByte());
        return FirstTwice(new(Vector128.WidenLower(words).AsByte()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 LoadPairs(sbyte* source) =>
        new(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(long*)source).AsSByte()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 FirstTwice(Quads4 pairs) =>
        new(((pairs._value.AsInt32() << 16) | (pairs._value.AsInt32() & Vector128.Create(0xFFFF))).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 SecondTwice(Quads4 pairs) =>
        new(((pairs._value.AsInt32() >>> 16) | (pairs._value.AsInt32() & Vector128.Create(-0x10000))).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 operator &(Quads4 a, Quads4 b) => new(a._value & b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 operator |(Quads4 a, Quads4 b) => new(a._value | b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 ShiftLeft(Quads4 a, int count) => new((a._value.AsInt16() << count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 ShiftRight(Quads4 a, int count) => new((a._value.AsInt16() >>> count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Lookup(Quads4 table, Quads4 indices) => new(Vector128.Shuffle(table._value, indices._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplyBytes(Quads4 unsigned, Quads4 signed)
    {
        Vector128<short> even = (unsigned._value.AsInt16() & Vector128.Create((short)0xFF)) * ((signed._value.AsInt16() << 8) >> 8);
        return new((even + ((unsigned._value.AsInt16() >>> 8) * (signed._value.AsInt16() >> 8))).AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplyWords(Quads4 a, Quads4 b)
    {
        Vector128<int> first = ((a._value.AsInt32() << 16) >> 16) * ((b._value.AsInt32() << 16) >> 16);
        return new((first + ((a._value.AsInt32() >> 16) * (b._value.AsInt32() >> 16))).AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplyWordsLow(Quads4 a, Quads4 b) => new((a._value.AsInt16() * b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 AddWords(Quads4 a, Quads4 b) => new((a._value.AsInt16() + b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 SubtractWords(Quads4 a, Quads4 b) => new((a._value.AsInt16() - b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 AddInts(Quads4 a, Quads4 b) => new((a._value.AsInt32() + b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 SubtractInts(Quads4 a, Quads4 b) => new((a._value.AsInt32() - b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplyInts(Quads4 a, Quads4 b) => new((a._value.AsInt32() * b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 ShiftLeftInts(Quads4 a, int count) => new((a._value.AsInt32() << count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 GreaterInts(Quads4 a, Quads4 b) => new(Vector128.GreaterThan(a._value.AsInt32(), b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Select(Quads4 mask, Quads4 a, Quads4 b) => new(Vector128.ConditionalSelect(mask._value, a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 Dot(Quads4 sum, Quads4 unsigned, Quads4 signed) => throw new NotSupportedException();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 ToFloats(Quads4 ints) => new(Vector128.ConvertToSingle(ints._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplyFloats(Quads4 a, Quads4 b) => new((a._value.AsSingle() * b._value.AsSingle()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplyAdd(Quads4 a, Quads4 b, Quads4 c) =>
        new(Vector128.FusedMultiplyAdd(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads4 MultiplySubtract(Quads4 a, Quads4 b, Quads4 c) =>
        new(Vector128.FusedMultiplyAdd(-a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).AsByte());
}
