using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Writes the n-gram files: 8 bytes of magic that end in the version, little-endian fields and arrays without padding, and
/// a 64-bit checksum of all that stands before it.
/// </summary>
internal sealed class NgramFileWriter
{
    private readonly Stream _stream;
    private ulong _checksum = NgramChecksum.Start;

    private NgramFileWriter(Stream stream) => _stream = stream;

    /// <summary>Writes beside the file and moves the whole over it, so that no reader ever sees half of it.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> magic, Action<NgramFileWriter> body)
    {
        string partial = path + ".partial";
        using (FileStream stream = File.Create(partial))
        {
            var writer = new NgramFileWriter(stream);
            writer.WriteArray(magic);
            body(writer);
            writer.WriteLong((long)writer._checksum);
            stream.Flush(flushToDisk: true);
        }

        File.Move(partial, path, overwrite: true);
    }

    public void WriteInt(int value) => WriteArray<int>([value]);

    public void WriteLong(long value) => WriteArray<long>([value]);

    public void WriteText(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        WriteInt(bytes.Length);
        WriteArray<byte>(bytes);
    }

    public void WriteArray<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("N-gram files need a little-endian machine.");
        }

        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values);
        _checksum = NgramChecksum.Add(_checksum, bytes);
        _stream.Write(bytes);
    }

    /// <summary>Numbers below 2^24 in <paramref name="width"/> (2 or 3) bytes each.</summary>
    public void WritePacked(ReadOnlySpan<int> values, int width)
    {
        byte[] bytes = new byte[(values.Length * width) + 4];
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(i * width), values[i]);
        }

        WriteArray<byte>(bytes.AsSpan(0, values.Length * width));
    }
}

/// <summary>
/// Reads the n-gram files and trusts nothing in them: every length is held against the bytes that are left before anything
/// is allocated. Whatever is wrong is an <see cref="InvalidDataException"/> that names the file and the field.
/// </summary>
internal sealed class NgramFileReader : IDisposable
{
    private readonly string _path;
    private readonly FileStream _stream;
    private ulong _checksum = NgramChecksum.Start;

    public NgramFileReader(string path, ReadOnlySpan<byte> magic)
    {
        _path = path;
        _stream = File.OpenRead(path);
        try
        {
            byte[] found = ReadArray<byte>("magic", magic.Length);
            Require(found.AsSpan(0, 7).SequenceEqual(magic[..7]), "it does not begin with the format's magic");
            Require(found[7] == magic[7], $"version {(char)found[7]} is not supported, version {(char)magic[7]} is");
        }
        catch
        {
            _stream.Dispose();
            throw;
        }
    }

    private long Left => _stream.Length - _stream.Position;

    public void Dispose() => _stream.Dispose();

    public int ReadInt(string what, int min, int max)
    {
        int value = ReadArray<int>(what, 1)[0];
        Require(value >= min && value <= max, $"{what} is {value}, not in {min} .. {max}");
        return value;
    }

    public long ReadLong(string what) => ReadArray<long>(what, 1)[0];

    public string ReadText(string what)
    {
        byte[] bytes = ReadArray<byte>(what, ReadInt($"length of {what}", 0, 1 << 16));
        return Encoding.UTF8.GetString(bytes);
    }

    public T[] ReadArray<T>(string what, int length)
        where T : unmanaged
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("N-gram files need a little-endian machine.");
        }

        long bytes = (long)length * Marshal.SizeOf<T>();
        Require(bytes <= Left, $"{what} needs {bytes} bytes, {Left} are left");
        T[] values = new T[length];
        _stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        _checksum = NgramChecksum.Add(_checksum, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }

    /// <summary>Numbers that must lie under <paramref name="limit"/>, in <paramref name="width"/> (2 or 3) bytes each.</summary>
    public int[] ReadPacked(string what, int length, int width, int limit)
    {
        long size = (long)length * width;
        Require(size <= Math.Min(Left, Array.MaxLength), $"{what} needs {size} bytes, {Left} are left");
        byte[] bytes = ReadArray<byte>(what, (int)size);
        int[] values = new int[length];
        for (int i = 0; i < length; i++)
        {
            int at = i * width;
            values[i] = bytes[at] | (bytes[at + 1] << 8) | (width == 3 ? bytes[at + 2] << 16 : 0);
            if (values[i] >= limit)
            {
                throw Broken($"{what} {i} is {values[i]}, not below {limit}");
            }
        }

        return values;
    }

    /// <summary>Checks that the file ends here, with the right checksum.</summary>
    public void End()
    {
        ulong expected = _checksum;
        Require((ulong)ReadLong("checksum") == expected, "the checksum does not match");
        Require(Left == 0, $"{Left} bytes follow the end");
    }

    public void Require(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw Broken(otherwise);
        }
    }

    /// <summary>For loops, where <see cref="Require"/> would format a message per element.</summary>
    public InvalidDataException Broken(string what) => new($"{_path}: {what}.");
}

/// <summary>FNV-1a over 64-bit words, the rest of each array byte by byte.</summary>
internal static class NgramChecksum
{
    public const ulong Start = 0xCBF29CE484222325;
    private const ulong Prime = 0x100000001B3;

    public static ulong Add(ulong checksum, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        foreach (ulong word in words)
        {
            // The fold lets the high bits of a word reach the low ones of the sum.
            checksum = (checksum ^ word) * Prime;
            checksum ^= checksum >> 32;
        }

        foreach (byte value in bytes[(words.Length * sizeof(ulong))..])
        {
            checksum = (checksum ^ value) * Prime;
        }

        return checksum;
    }
}
