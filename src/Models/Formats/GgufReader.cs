using System.Buffers.Binary;
using System.Text;

namespace Understory.Models.Formats;

/// <summary>
/// Reads the head of a GGUF file front to back. Nothing is believed: every length is held against what is left of the file first.
/// </summary>
internal sealed unsafe class GgufReader(MappedFile file)
{
    private const int MaxNesting = 4;

    /// <summary>Far above any vocabulary.</summary>
    private const long MaxArray = 1 << 24;

    public long Position { get; private set; }

    private long Left => file.Length - Position;

    public InvalidDataException Damaged(string what) => new($"{file.Path}: {what} (at byte {Position:N0}).");

    public ReadOnlySpan<byte> Bytes(long count)
    {
        if (count < 0 || count > Left || count > int.MaxValue)
        {
            throw Damaged($"{count:N0} more bytes expected, {Left:N0} left: truncated or damaged");
        }

        var bytes = new ReadOnlySpan<byte>(file.Start + Position, (int)count);
        Position += count;
        return bytes;
    }

    public uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4));

    public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8));

    /// <summary>A number of things of at least <paramref name="bytesEach"/> bytes.</summary>
    public long Count(int bytesEach)
    {
        ulong count = UInt64();
        return count <= (ulong)(Left / bytesEach) ? (long)count : throw Damaged($"a count of {count:N0} with {Left:N0} bytes left");
    }

    public string String() => Encoding.UTF8.GetString(Bytes(Count(1)));

    public Dictionary<string, object> Pairs(long count)
    {
        var pairs = new Dictionary<string, object>(StringComparer.Ordinal);
        for (long i = 0; i < count; i++)
        {
            string key = String();
            if (!pairs.TryAdd(key, Value(UInt32(), 0)))
            {
                throw Damaged($"the key \"{FileText.Shown(key)}\" is there twice");
            }
        }

        return pairs;
    }

    private object Value(uint type, int nesting) => type switch
    {
        0 or 1 or 2 or 3 or 4 or 5 or 10 or 11 => Integer(type),
        6 or 12 => Float(type),
        7 => Bytes(1)[0] != 0,
        8 => String(),
        9 when nesting < MaxNesting => Array(nesting + 1),
        _ => throw Damaged($"a value of type {type}"),
    };

    private object Array(int nesting)
    {
        uint type = UInt32();
        switch (type)
        {
            case 0 or 1 or 2 or 3 or 4 or 5 or 10 or 11:
                return Fill(new long[ArrayLength(SizeOf(type))], () => Integer(type));
            case 6 or 12:
                return Fill(new double[ArrayLength(SizeOf(type))], () => Float(type));
            case 7:
                return Fill(new bool[ArrayLength(1)], () => Bytes(1)[0] != 0);
            case 8:
                return Fill(new string[ArrayLength(8)], String);
            default:
                return Fill(new object[ArrayLength(12)], () => Value(type, nesting));
        }
    }

    private long ArrayLength(int bytesEach)
    {
        long length = Count(bytesEach);
        return length <= MaxArray ? length : throw Damaged($"an array of {length:N0} elements");
    }

    private static T[] Fill<T>(T[] array, Func<T> next)
    {
        for (int i = 0; i < array.Length; i++)
        {
            array[i] = next();
        }

        return array;
    }

    private static int SizeOf(uint type) => type switch { 0 or 1 => 1, 2 or 3 => 2, 10 or 11 or 12 => 8, _ => 4 };

    private long Integer(uint type)
    {
        ReadOnlySpan<byte> bytes = Bytes(SizeOf(type));
        return type switch
        {
            0 => bytes[0],
            1 => (sbyte)bytes[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            3 => BinaryPrimitives.ReadInt16LittleEndian(bytes),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            5 => BinaryPrimitives.ReadInt32LittleEndian(bytes),
            _ => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        };
    }

    private double Float(uint type)
    {
        ReadOnlySpan<byte> bytes = Bytes(SizeOf(type));
        return type == 6 ? BinaryPrimitives.ReadSingleLittleEndian(bytes) : BinaryPrimitives.ReadDoubleLittleEndian(bytes);
    }
}
