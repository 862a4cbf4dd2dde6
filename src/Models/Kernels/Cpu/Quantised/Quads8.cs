using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Eight outputs in one 256-bit register.</summary>
internal readonly unsafe struct Quads8(Vector256<byte> value) : IQuads<Quads8>
{
    private readonly Vector256<byte> _value = value;

    public static int Outputs
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 8;
    }

    public static bool HasDot
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => AvxVnni.IsSupported;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Load(void* source) => new(Vector256.Load((byte*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(void* target) => _value.Store((byte*)target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Quad(void* source) => new(Vector256.Create(*(int*)source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Bytes(byte value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Words(short value) => new(Vector256.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Ints(int value) => new(Vector256.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Floats(float value) => new(Vector256.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Load(Vector128<byte> table) => new(Vector256.Create(table));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 LoadBytes(byte* source) => new(Avx2.ConvertToVector256Int32(source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 LoadWords(ushort* source) => new(Avx2.ConvertToVector256Int32(source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 LoadTwice(sbyte* source) => FirstTwice(new(Avx2.ConvertToVector256Int32(source).AsByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 LoadPairs(sbyte* source) => new(Avx2.ConvertToVector256Int16(source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 FirstTwice(Quads8 pairs) =>
        new(Avx2.Shuffle(pairs._value, Vector256.Create(Vector128.Create(0x0504050401000100UL, 0x0D0C0D0C09080908)).AsByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 SecondTwice(Quads8 pairs) =>
        new(Avx2.Shuffle(pairs._value, Vector256.Create(Vector128.Create(0x0706070603020302UL, 0x0F0E0F0E0B0A0B0A)).AsByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 operator &(Quads8 a, Quads8 b) => new(a._value & b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 operator |(Quads8 a, Quads8 b) => new(a._value | b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 ShiftLeft(Quads8 a, int count) => new((a._value.AsInt16() << count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 ShiftRight(Quads8 a, int count) => new((a._value.AsInt16() >>> count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Lookup(Quads8 table, Quads8 indices) => new(Avx2.Shuffle(table._value, indices._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplyBytes(Quads8 unsigned, Quads8 signed) =>
        new(Avx2.MultiplyAddAdjacent(unsigned._value, signed._value.AsSByte()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplyWords(Quads8 a, Quads8 b) =>
        new(Avx2.MultiplyAddAdjacent(a._value.AsInt16(), b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplyWordsLow(Quads8 a, Quads8 b) => new((a._value.AsInt16() * b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 AddWords(Quads8 a, Quads8 b) => new((a._value.AsInt16() + b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 SubtractWords(Quads8 a, Quads8 b) => new((a._value.AsInt16() - b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 AddInts(Quads8 a, Quads8 b) => new((a._value.AsInt32() + b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 SubtractInts(Quads8 a, Quads8 b) => new((a._value.AsInt32() - b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplyInts(Quads8 a, Quads8 b) => new((a._value.AsInt32() * b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 ShiftLeftInts(Quads8 a, int count) => new((a._value.AsInt32() << count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 GreaterInts(Quads8 a, Quads8 b) => new(Vector256.GreaterThan(a._value.AsInt32(), b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Select(Quads8 mask, Quads8 a, Quads8 b) => new(Vector256.ConditionalSelect(mask._value, a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 Dot(Quads8 sum, Quads8 unsigned, Quads8 signed) =>
        new(AvxVnni.MultiplyWideningAndAdd(sum._value.AsInt32(), unsigned._value, signed._value.AsSByte()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 ToFloats(Quads8 ints) => new(Vector256.ConvertToSingle(ints._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplyFloats(Quads8 a, Quads8 b) => new((a._value.AsSingle() * b._value.AsSingle()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplyAdd(Quads8 a, Quads8 b, Quads8 c) =>
        new(Vector256.FusedMultiplyAdd(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads8 MultiplySubtract(Quads8 a, Quads8 b, Quads8 c) =>
        new(Fma.MultiplyAddNegated(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).AsByte());
}
