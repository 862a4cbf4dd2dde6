using System.Text;

namespace Understory.Peer;

/// <summary>
/// Writes a Llama of random weights as a GGUF file (version 3), whole enough for any reader: near-normal matrices, norms whose weights
/// differ by channel as trained ones do (log-normal), and a byte-level vocabulary with its merges.
/// </summary>
internal static class RandomModel
{
    private const int Alignment = 32;
    private const int Piece = 1 << 16;
    private const uint F32 = 0, F16 = 1, BF16 = 30;

    /// <param name="type">"F16" or "BF16".</param>
    public static void Write(string path, Shape shape, string type, ulong seed = 1)
    {
        uint number = type == "BF16" ? BF16 : F16;
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        using var writer = new BinaryWriter(file);
        (string Name, double Mean)[] norms = [.. shape.Norms()];
        (string Name, int Rows, int Columns, double Scale)[] matrices = [.. shape.Matrices()];
        writer.Write("GGUF"u8);
        writer.Write(3u);
        writer.Write((ulong)(norms.Length + matrices.Length));
        Metadata(writer, shape, number);
        ulong offset = 0;
        foreach ((string name, _) in norms)
        {
            Describe(name, F32, 4, (ulong)shape.Width);
        }

        foreach ((string name, int rows, int columns, _) in matrices)
        {
            Describe(name, number, 2, (ulong)columns, (ulong)rows);
        }

        Align(writer);
        ulong stream = seed;
        foreach ((_, double mean) in norms)
        {
            Norm(writer, shape.Width, mean, stream++);
            Align(writer);
        }

        ushort[] values = new ushort[64 * Piece];
        foreach ((_, int rows, int columns, double scale) in matrices)
        {
            Matrix(writer, (long)rows * columns, (float)scale, number == BF16, stream++, values);
            Align(writer);
        }

        void Describe(string name, uint kind, ulong elementBytes, params ReadOnlySpan<ulong> extents)
        {
            Text(writer, name + ".weight");
            writer.Write(extents.Length);
            ulong bytes = elementBytes;
            foreach (ulong extent in extents)
            {
                writer.Write(extent);
                bytes *= extent;
            }

            writer.Write(kind);
            writer.Write(offset);
            offset += (bytes + Alignment - 1) / Alignment * Alignment;
        }
    }

    private static void Metadata(BinaryWriter writer, Shape shape, uint type)
    {
        (string Key, int Value)[] numbers =
        [
            ("llama.context_length", shape.Context), ("llama.embedding_length", shape.Width), ("llama.block_count", shape.Layers),
            ("llama.feed_forward_length", shape.Mlp), ("llama.rope.dimension_count", shape.Width / shape.Heads),
            ("llama.attention.head_count", shape.Heads), ("llama.attention.head_count_kv", shape.KvHeads),
            ("llama.vocab_size", shape.Vocabulary), ("tokenizer.ggml.eos_token_id", shape.Vocabulary - 1),
            ("general.file_type", type == BF16 ? 32 : 1),
        ];
        writer.Write((ulong)(numbers.Length + 8));
        Pair("general.architecture", "llama");
        Pair("general.name", $"random {shape.Name}");
        Pair("tokenizer.ggml.model", "gpt2");
        Pair("tokenizer.ggml.pre", "gpt-2");
        foreach ((string key, int value) in numbers)
        {
            Key(key, 4);
            writer.Write((uint)value);
        }

        Key("llama.attention.layer_norm_rms_epsilon", 6);
        writer.Write(1e-5f);
        (string[] tokens, string[] merges) = Vocabulary(shape.Vocabulary);
        List("tokenizer.ggml.tokens", tokens);
        List("tokenizer.ggml.merges", merges);
        // Every token is an ordinary one (1) but the last, which is for control (3).
        Key("tokenizer.ggml.token_type", 9);
        writer.Write(5u);
        writer.Write((ulong)tokens.Length);
        Array.ForEach(tokens, token => writer.Write(token == tokens[^1] ? 3 : 1));

        void Key(string key, uint kind)
        {
            Text(writer, key);
            writer.Write(kind);
        }

        void Pair(string key, string value)
        {
            Key(key, 8);
            Text(writer, value);
        }

        void List(string key, string[] values)
        {
            Key(key, 9);
            writer.Write(8u);
            writer.Write((ulong)values.Length);
            Array.ForEach(values, value => Text(writer, value));
        }
    }

    /// <summary>
    /// The 256 bytes, as GPT-2 writes them, then by length and alphabet what is one byte longer than an earlier token: token 256 + i is
    /// token i / 256 and byte i % 256. The last token ends a text.
    /// </summary>
    private static (string[] Tokens, string[] Merges) Vocabulary(int size)
    {
        // 188 bytes stand for themselves, the others for the letters from 256 on.
        (int First, int Count)[] letters = [(33, 94), (161, 12), (174, 82), (256, 68)];
        List<string> tokens = [.. letters.SelectMany(range => Enumerable.Range(range.First, range.Count)).Select(code => $"{(char)code}")];
        List<string> merges = [];
        for (int i = 0; tokens.Count < size - 1; i++)
        {
            (string longer, string letter) = (tokens[i / 256], tokens[i % 256]);
            tokens.Add(longer + letter);
            merges.Add($"{longer} {letter}");
        }

        return ([.. tokens, "<|end|>"], [.. merges]);
    }

    private static void Norm(BinaryWriter writer, int width, double mean, ulong stream)
    {
        for (int i = 0; i < width; i++)
        {
            writer.Write((float)(mean * Math.Exp(0.5 * Normal(stream, i))));
        }
    }

    private static void Matrix(BinaryWriter writer, long count, float scale, bool bf16, ulong stream, ushort[] values)
    {
        for (long first = 0; first < count; first += values.Length)
        {
            int part = (int)Math.Min(values.Length, count - first);
            Parallel.For(0, (part + Piece - 1) / Piece, piece =>
            {
                for (int i = piece * Piece; i < Math.Min(part, (piece + 1) * Piece); i++)
                {
                    float value = scale * Normal(stream, first + i);
                    values[i] = bf16 ? (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16) : BitConverter.HalfToUInt16Bits((Half)value);
                }
            });
            writer.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan(0, part)));
        }
    }

    /// <summary>
    /// Number <paramref name="index"/> of a stream of near-normal ones: the sum of four uniform 16-bit numbers, all of one mixed word
    /// (SplitMix64).
    /// </summary>
    private static float Normal(ulong stream, long index)
    {
        ulong x = unchecked((stream * 0xD1342543DE82EF95) + ((ulong)index * 0x9E3779B97F4A7C15));
        x = unchecked((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9);
        x = unchecked((x ^ (x >> 27)) * 0x94D049BB133111EB);
        x ^= x >> 31;
        int sum = (int)((x & 0xFFFF) + ((x >> 16) & 0xFFFF) + ((x >> 32) & 0xFFFF) + (x >> 48));
        // Four uniform numbers of 0 to 65,535: a mean of 131,070, a variance of 4 * 65,536^2 / 12.
        return (sum - 131_070) * (1 / 37_837.2f);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Align(BinaryWriter writer)
    {
        writer.Flush();
        writer.Write(new byte[(Alignment - (writer.BaseStream.Position % Alignment)) % Alignment]);
    }
}
