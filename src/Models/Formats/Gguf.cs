using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>
/// A GGUF file (version 2 or 3, little endian): metadata and tensors in one. Tensor types F32, F16, BF16 and Q8_0; the last is expanded to BF16
/// when read. Dimensions are turned round to our order: <c>[rows, columns]</c>. (ggml, docs/gguf.md.)
/// </summary>
public sealed unsafe class Gguf : ITensorSource
{
    private const int Q8Block = 32;
    private const int Q8BlockBytes = 34;

    private readonly MappedFile _file;
    private readonly TensorTable _tensors;
    private readonly Dictionary<nint, NativeMemoryBlock> _expanded = [];

    private Gguf(MappedFile file)
    {
        _file = file;
        _tensors = new TensorTable(file.Path, "F32, F16, BF16 and Q8_0");
        var reader = new GgufReader(file);
        if (!reader.Bytes(4).SequenceEqual("GGUF"u8))
        {
            throw reader.Damaged("this is no GGUF file");
        }

        uint version = reader.UInt32();
        if (version is not (2 or 3))
        {
            throw reader.Damaged($"version {version} is not supported (2 and 3 are, little endian)");
        }

        // The shortest tensor description has 8 + 4 + 4 + 8 bytes, the shortest pair 8 + 4 + 1.
        long tensors = reader.Count(24);
        long pairs = reader.Count(13);
        Metadata = new GgufMetadata(file.Path, reader.Pairs(pairs));
        ReadDescriptions(reader, tensors);
    }

    public GgufMetadata Metadata { get; }

    public IEnumerable<string> Names => _tensors.Names;

    /// <exception cref="FileNotFoundException">No such file.</exception>
    /// <exception cref="InvalidDataException">Not a GGUF file, or a damaged one.</exception>
    public static Gguf Open(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path}: no such file.", path);
        }

        var file = new MappedFile(path);
        try
        {
            return new Gguf(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public bool Contains(string name) => _tensors.Contains(name);

    public DType TypeOf(string name, params ReadOnlySpan<int> shape)
    {
        TensorEntry entry = _tensors.Find(name, shape);
        return entry.TypeName switch
        {
            "F32" => DType.F32,
            "F16" => DType.F16,
            "BF16" or "Q8_0" => DType.BF16,
            _ => throw _tensors.Unsupported(name, entry),
        };
    }

    public Tensor Read(string name, params ReadOnlySpan<int> shape)
    {
        DType type = TypeOf(name, shape);
        TensorEntry entry = _tensors.Find(name, shape);
        return TensorTable.View(type, shape, entry.TypeName == "Q8_0" ? Expand(entry) : entry.Data);
    }

    public void Release(Tensor tensor)
    {
        if (_expanded.Remove(tensor.Data, out NativeMemoryBlock? block))
        {
            block.Dispose();
        }
        else
        {
            MappedFile.Forget((byte*)tensor.Data, (long)tensor.Rows * tensor.Stride * tensor.Type.Size());
        }
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock block in _expanded.Values)
        {
            block.Dispose();
        }

        _expanded.Clear();
        _tensors.Clear();
        _file.Dispose();
    }

    private void ReadDescriptions(GgufReader reader, long count)
    {
        var found = new List<(string Name, uint Type, long[] Shape, ulong Offset)>();
        for (long i = 0; i < count; i++)
        {
            string name = reader.String();
            uint dimensions = reader.UInt32();
            if (dimensions > 4)
            {
                throw reader.Damaged($"tensor \"{FileText.Shown(name)}\" has {dimensions} dimensions");
            }

            long[] shape = new long[dimensions];
            for (int d = shape.Length - 1; d >= 0; d--)
            {
                shape[d] = (long)reader.UInt64();
            }

            found.Add((name, reader.UInt32(), shape, reader.UInt64()));
        }

        long alignment = Metadata.GetCount("general.alignment", 32);
        if (alignment < 8 || alignment % 8 != 0)
        {
            throw reader.Damaged($"an alignment of {alignment}");
        }

        long data = (reader.Position + alignment - 1) / alignment * alignment;
        foreach ((string name, uint type, long[] shape, ulong offset) in found)
        {
            if (TensorEntry.Elements(shape) is not { } elements || offset % (ulong)alignment != 0)
            {
                throw reader.Damaged($"tensor \"{FileText.Shown(name)}\" [{string.Join(", ", shape)}] at offset {offset}");
            }

            string typeName = TypeNamed(type);
            long bytes = typeName switch
            {
                "F32" => elements * 4,
                "F16" or "BF16" => elements * 2,
                "Q8_0" when shape.Length > 0 && shape[^1] % Q8Block == 0 => elements / Q8Block * Q8BlockBytes,
                "Q8_0" => throw reader.Damaged($"tensor \"{FileText.Shown(name)}\" [{string.Join(", ", shape)}] cannot be Q8_0"),
                _ => 0,
            };
            if ((Int128)data + offset + bytes > _file.Length)
            {
                throw reader.Damaged($"tensor \"{FileText.Shown(name)}\" ends beyond the end of the file: truncated or damaged");
            }

            _tensors.Add(name, new TensorEntry(_file, typeName, shape, (nint)(_file.Start + data + (long)offset)));
        }
    }

    private static string TypeNamed(uint type) => type switch
    {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        6 => "Q5_0",
        7 => "Q5_1",
        8 => "Q8_0",
        10 => "Q2_K",
        11 => "Q3_K",
        12 => "Q4_K",
        13 => "Q5_K",
        14 => "Q6_K",
        30 => "BF16",
        _ => $"number {type}",
    };

    /// <summary>Q8_0: blocks of 32 weights, an F16 scale and 32 signed bytes. Each product is rounded to BF16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private nint Expand(TensorEntry entry)
    {
        long blocks = TensorEntry.Elements(entry.Shape)!.Value / Q8Block;
        var memory = new NativeMemoryBlock(Math.Max(1, blocks * Q8Block * 2));
        byte* source = (byte*)entry.Data;
        ushort* target = (ushort*)memory.Address;
        for (long block = 0; block < blocks; block++, source += Q8BlockBytes, target += Q8Block)
        {
            float scale = (float)BitConverter.UInt16BitsToHalf(BinaryPrimitives.ReadUInt16LittleEndian(new ReadOnlySpan<byte>(source, 2)));
            for (int i = 0; i < Q8Block; i++)
            {
                target[i] = ElementTypes.ToBFloat16(scale * (sbyte)source[2 + i]);
            }
        }

        MappedFile.Forget((byte*)entry.Data, blocks * Q8BlockBytes);
        _expanded.Add(memory.Address, memory);
        return memory.Address;
    }
}
