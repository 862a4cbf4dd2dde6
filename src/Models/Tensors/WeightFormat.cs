using System.Numerics;
using System.Runtime.Intrinsics;

namespace Understory.Models.Tensors;

/// <summary>
/// How a file holds weights: each row in blocks of <see cref="BlockElements"/> neighbouring elements, <see cref="BlockBytes"/> bytes a
/// block. The type of activations and caches is another matter (<see cref="DType"/>), and so is the layout in which a set of kernels holds
/// the same weights.
/// </summary>
public abstract unsafe class WeightFormat
{
    private protected WeightFormat(string name, int blockElements, int blockBytes) =>
        (Name, BlockElements, BlockBytes) = (name, blockElements, blockBytes);

    /// <summary>As files call it: "BF16", "Q4_K".</summary>
    public string Name { get; }

    /// <summary>Elements of a block; a row is a whole number of blocks.</summary>
    public int BlockElements { get; }

    public int BlockBytes { get; }

    /// <summary>Bytes of so many elements, a whole number of blocks.</summary>
    public long Bytes(long elements) => elements / BlockElements * BlockBytes;

    /// <summary>The values of some neighbouring elements of a row, as the format's own library reads them.</summary>
    /// <param name="blocks">The first one's block.</param>
    /// <param name="elements">A whole number of blocks.</param>
    public abstract void Decode(byte* blocks, int elements, float* values);

    public override string ToString() => Name;
}

/// <summary>Weights as plain numbers.</summary>
public sealed unsafe class DenseFormat : WeightFormat
{
    private DenseFormat(DType type)
        : base(type.ToString(), 1, type.Size()) => Type = type;

    public static DenseFormat F32 { get; } = new(DType.F32);

    public static DenseFormat F16 { get; } = new(DType.F16);

    public static DenseFormat BF16 { get; } = new(DType.BF16);

    public DType Type { get; }

    public static DenseFormat Of(DType type) => type switch { DType.F32 => F32, DType.F16 => F16, _ => BF16 };

    /// <summary>Some element is NaN or infinite: all bits of its exponent are set.</summary>
    public bool HasBadValue(byte* data, long elements) => Type == DType.F32
        ? HasSet<uint>((uint*)data, elements, 0x7F800000)
        : HasSet<ushort>((ushort*)data, elements, (ushort)(Type == DType.F16 ? 0x7C00 : 0x7F80));

    private static bool HasSet<T>(T* data, long elements, T exponent)
        where T : unmanaged, IBinaryInteger<T>
    {
        var mask = Vector256.Create(exponent);
        Vector256<T> found = default;
        long i = 0;
        for (; i + Vector256<T>.Count <= elements; i += Vector256<T>.Count)
        {
            found |= Vector256.Equals(Vector256.Load(data + i) & mask, mask);
        }

        bool rest = false;
        for (; i < elements; i++)
        {
            rest |= (data[i] & exponent) == exponent;
        }

        return rest || found != default;
    }

    public override void Decode(byte* blocks, int elements, float* values)
    {
        int i = 0;
        for (; Type != DType.F32 && i + 8 <= elements; i += 8)
        {
            Vector256<uint> bits = Vector256.WidenLower(Vector128.Load((ushort*)blocks + i).ToVector256Unsafe());
            (Type == DType.BF16 ? (bits << 16).AsSingle() : Expand(bits)).Store(values + i);
        }

        for (; i < elements; i++)
        {
            values[i] = Scalar.Read(Type, (nint)blocks, i);
        }
    }

    /// <summary>
    /// Float16 to float: exponent and mantissa go to their places, and a product makes up for the exponent's bias, exact for subnormals
    /// too. What has all bits of its exponent set has them set again.
    /// </summary>
    private static Vector256<float> Expand(Vector256<uint> bits)
    {
        Vector256<float> bias = Vector256.Create((uint)(127 + 112) << 23).AsSingle();
        Vector256<uint> magnitude = (((bits & Vector256.Create(0x7FFFu)) << 13).AsSingle() * bias).AsUInt32();
        var exponent = Vector256.Create(0x7C00u);
        Vector256<uint> special = Vector256.Equals(bits & exponent, exponent) & Vector256.Create(0x7F800000u);
        return (magnitude | special | ((bits & Vector256.Create(0x8000u)) << 16)).AsSingle();
    }
}
