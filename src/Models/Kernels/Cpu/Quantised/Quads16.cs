using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Understory.Models.Kernels.Cpu.Quantised;

/// <summary>Sixteen outputs in one 512-bit register.</summary>
internal readonly unsafe struct Quads16(Vector512<byte> value) : IQuads<Quads16>
{
    private readonly Vector512<byte> _value = value;

    public static int Outputs
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 16;
    }

    public static bool HasDot
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Load(void* source) => new(Vector512.Load((byte*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(void* target) => _value.Store((byte*)target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Quad(void* source) => new(Vector512.Create(*(int*)source).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Bytes(byte value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Words(short value) => new(Vector512.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Ints(int value) => new(Vector512.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Floats(float value) => new(Vector512.Create(value).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Load(Vector128<byte> table) => new(Vector512.Create(Vector256.Create(table)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 LoadBytes(byte* source) => new(Avx512F.ConvertToVector512Int32(Vector128.Load(source)).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 LoadWords(ushort* source) => new(Avx512F.ConvertToVector512Int32(Vector256.Load(source)).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 LoadTwice(sbyte* source) => FirstTwice(new(Avx512F.ConvertToVector512Int32(Vector128.Load(source)).AsByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 LoadPairs(sbyte* source) => new(Avx512BW.ConvertToVector512Int16(Vector256.Load(source)).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 FirstTwice(Quads16 pairs) =>
        new(Avx512BW.Shuffle(pairs._value, Vector512.Create(
            0x0504050401000100UL, 0x0D0C0D0C09080908, 0x0504050401000100, 0x0D0C0D0C09080908,
            0x0504050401000100, 0x0D0C0D0C09080908, 0x0504050401000100, 0x0D0C0D0C09080908).AsByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 SecondTwice(Quads16 pairs) =>
        new(Avx512BW.Shuffle(pairs._value, Vector512.Create(
            0x0706070603020302UL, 0x0F0E0F0E0B0A0B0A, 0x0706070603020302, 0x0F0E0F0E0B0A0B0A,
            0x0706070603020302, 0x0F0E0F0E0B0A0B0A, 0x0706070603020302, 0x0F0E0F0E0B0A0B0A).AsByte()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 operator &(Quads16 a, Quads16 b) => new(a._value & b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 operator |(Quads16 a, Quads16 b) => new(a._value | b._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 ShiftLeft(Quads16 a, int count) => new((a._value.AsInt16() << count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 ShiftRight(Quads16 a, int count) => new((a._value.AsInt16() >>> count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Lookup(Quads16 table, Quads16 indices) => new(Avx512BW.Shuffle(table._value, indices._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplyBytes(Quads16 unsigned, Quads16 signed) =>
        new(Avx512BW.MultiplyAddAdjacent(unsigned._value, signed._value.AsSByte()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplyWords(Quads16 a, Quads16 b) =>
        new(Avx512BW.MultiplyAddAdjacent(a._value.AsInt16(), b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplyWordsLow(Quads16 a, Quads16 b) => new((a._value.AsInt16() * b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 AddWords(Quads16 a, Quads16 b) => new((a._value.AsInt16() + b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 SubtractWords(Quads16 a, Quads16 b) => new((a._value.AsInt16() - b._value.AsInt16()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 AddInts(Quads16 a, Quads16 b) => new((a._value.AsInt32() + b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 SubtractInts(Quads16 a, Quads16 b) => new((a._value.AsInt32() - b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplyInts(Quads16 a, Quads16 b) => new((a._value.AsInt32() * b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 ShiftLeftInts(Quads16 a, int count) => new((a._value.AsInt32() << count).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 GreaterInts(Quads16 a, Quads16 b) => new(Vector512.GreaterThan(a._value.AsInt32(), b._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Select(Quads16 mask, Quads16 a, Quads16 b) => new(Vector512.ConditionalSelect(mask._value, a._value, b._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 Dot(Quads16 sum, Quads16 unsigned, Quads16 signed) => throw new NotSupportedException();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 ToFloats(Quads16 ints) => new(Vector512.ConvertToSingle(ints._value.AsInt32()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplyFloats(Quads16 a, Quads16 b) => new((a._value.AsSingle() * b._value.AsSingle()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplyAdd(Quads16 a, Quads16 b, Quads16 c) =>
        new(Vector512.FusedMultiplyAdd(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Quads16 MultiplySubtract(Quads16 a, Quads16 b, Quads16 c) =>
        new(Avx512F.FusedMultiplyAddNegated(a._value.AsSingle(), b._value.AsSingle(), c._value.AsSingle()).AsByte());
}
