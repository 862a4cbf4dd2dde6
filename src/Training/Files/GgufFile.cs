using System.Runtime.InteropServices;
using System.Text;
using Understory.Models.Formats.Quantised;
using Understory.Training.Network;

namespace Understory.Training.Files;

/// <summary>Writes a Llama as GGUF (version 3; ggml, docs/gguf.md): matrices Q8_0, norms F32.</summary>
internal static unsafe class GgufFile
{
    private const int Alignment = 32;
    private const int F32 = 0;
    private const int Q8 = 8;

    /// <param name="keys">
    /// Further keys, such as the tokenizer's, as <see cref="Models.Formats.GgufMetadata"/> holds them: strings, longs, doubles, bools, and
    /// arrays of these.
    /// </param>
    public static void Write(string path, string name, LlamaShape shape, IEnumerable<NetworkTensor> tensors,
        IEnumerable<KeyValuePair<string, object>> keys) => AtomicFile.Write(path, stream =>
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        KeyValuePair<string, object>[] pairs = [.. Keys(name, shape), .. keys];
        NetworkTensor[] all = [.. tensors.Select(tensor => Renamed(tensor, shape))];
        writer.Write("GGUF"u8);
        writer.Write(3);
        writer.Write((ulong)all.Length);
        writer.Write((ulong)pairs.Length);
        foreach ((string key, object value) in pairs)
        {
            Text(writer, key);
            Value(writer, value);
        }

        long at = 0;
        foreach (NetworkTensor tensor in all)
        {
            Text(writer, tensor.Name);
            writer.Write(tensor.Shape.Length);
            foreach (int size in tensor.Shape.Reverse())
            {
                writer.Write((ulong)size);
            }

            writer.Write(tensor.Shape.Length == 1 ? F32 : Q8);
            writer.Write((ulong)at);
            at += Aligned(Bytes(tensor));
        }

        foreach (NetworkTensor tensor in all)
        {
            Align(writer);
            byte[] data = new byte[Bytes(tensor)];
            Encode(tensor, data);
            writer.Write(data);
        }

        Align(writer);
    });

    private static long Bytes(NetworkTensor tensor) => tensor.Shape.Length == 1
        ? 4L * tensor.Values.Length : (long)tensor.Values.Length / Q8_0.Elements * Q8_0.Bytes;

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    private static void Encode(NetworkTensor tensor, byte[] data)
    {
        if (tensor.Shape.Length == 1)
        {
            MemoryMarshal.AsBytes(tensor.Values.Span).CopyTo(data);
            return;
        }

        fixed (float* values = tensor.Values.Span)
        fixed (byte* blocks = data)
        {
            for (int block = 0; block < tensor.Values.Length / Q8_0.Elements; block++)
            {
                Q8_0.Write(values + (block * Q8_0.Elements), blocks + (block * Q8_0.Bytes));
            }
        }
    }

    private static Dictionary<string, object> Keys(string name, LlamaShape shape) => new()
    {
        ["general.architecture"] = "llama",
        ["general.name"] = name,
        ["general.file_type"] = 7L,
        ["llama.vocab_size"] = (long)shape.Vocabulary,
        ["llama.context_length"] = (long)shape.Context,
        ["llama.embedding_length"] = (long)shape.Hidden,
        ["llama.block_count"] = (long)shape.Layers,
        ["llama.feed_forward_length"] = (long)shape.Width,
        ["llama.attention.head_count"] = (long)shape.Heads,
        ["llama.attention.head_count_kv"] = (long)shape.KvHeads,
        ["llama.attention.layer_norm_rms_epsilon"] = shape.Epsilon,
        ["llama.rope.dimension_count"] = (long)shape.HeadDim,
        ["llama.rope.freq_base"] = shape.Theta,
    };

    private static NetworkTensor Renamed(NetworkTensor tensor, LlamaShape shape) => tensor with
    {
        Name = GgufNames.Of(tensor.Name),
        Values = GgufNames.IsInterleaved(tensor.Name)
            ? GgufNames.Interleaved(tensor.Values.Span, tensor.Columns, shape.HeadDim) : tensor.Values,
    };

    private static void Align(BinaryWriter writer)
    {
        writer.Flush();
        writer.Write(new byte[(int)(Aligned(writer.BaseStream.Position) - writer.BaseStream.Position)]);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Value(BinaryWriter writer, object value)
    {
        writer.Write(TypeOf(value));
        Bare(writer, value);
    }

    private static int TypeOf(object value) => value switch
    {
        >= 0L and <= uint.MaxValue => 4,
        long => 11,
        double => 6,
        bool => 7,
        string => 8,
        ulong => 10,
        _ => 9,
    };

    private static void Bare(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case long number when TypeOf(number) == 4:
                writer.Write((uint)number);
                break;
            case long number:
                writer.Write(number);
                break;
            case ulong number:
                writer.Write(number);
                break;
            case double number:
                writer.Write((float)number);
                break;
            case bool flag:
                writer.Write(flag);
                break;
            case string text:
                Text(writer, text);
                break;
            case string[] texts:
                Array(writer, 8, texts, text => Text(writer, text));
                break;
            case long[] numbers when System.Array.TrueForAll(numbers, number => number == (int)number):
                Array(writer, 5, numbers, number => writer.Write((int)number));
                break;
            case long[] numbers:
                Array(writer, 11, numbers, writer.Write);
                break;
            case double[] numbers:
                Array(writer, 6, numbers, number => writer.Write((float)number));
                break;
            case bool[] flags:
                Array(writer, 7, flags, writer.Write);
                break;
            default:
                throw new ArgumentException($"A key's value is a {value.GetType().Name}.");
        }
    }

    private static void Array<T>(BinaryWriter writer, int type, T[] values, Action<T> write)
    {
        writer.Write(type);
        writer.Write((ulong)values.Length);
        System.Array.ForEach(values, write);
    }
}
