using System.Text;

namespace Understory.Models.Tests.Formats;

/// <summary>Tiny random Llamas in GGUF, with keys of one's choice and a byte-level vocabulary.</summary>
internal static class GgufFile
{
    private const int Hidden = 16;
    private const int Width = 32;
    private const int Heads = 2;
    private const int Layers = 2;

    /// <summary>256 bytes, one merge, a beginning, an end and the end of a turn.</summary>
    public const int Vocabulary = 260;

    /// <summary>Writes one.</summary>
    /// <param name="keys">Set in place of the usual ones; null: left out.</param>
    /// <param name="kvHeads">Key-value heads of each layer.</param>
    /// <returns>Its path.</returns>
    public static string Write(string path, IReadOnlyDictionary<string, object?>? keys = null, int[]? kvHeads = null)
    {
        string[] letters = [.. Enumerable.Range(0, 256).Select(value => Models.Tokenizers.ByteAlphabet.Char((byte)value).ToString())];
        var pairs = new Dictionary<string, object?>
        {
            ["general.architecture"] = "llama",
            ["llama.context_length"] = 64,
            ["llama.embedding_length"] = Hidden,
            ["llama.block_count"] = Layers,
            ["llama.feed_forward_length"] = Width,
            ["llama.attention.head_count"] = Heads,
            ["llama.attention.head_count_kv"] = kvHeads is null ? Heads : kvHeads,
            ["llama.attention.layer_norm_rms_epsilon"] = 1e-5f,
            ["llama.rope.dimension_count"] = Hidden / Heads,
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.pre"] = "llama-bpe",
            ["tokenizer.ggml.tokens"] = (string[])[.. letters, "ab", "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
            ["tokenizer.ggml.token_type"] = (int[])[.. Enumerable.Repeat(1, 257), 3, 3, 3],
            ["tokenizer.ggml.merges"] = (string[])["a b"],
            ["tokenizer.ggml.bos_token_id"] = 257,
            ["tokenizer.ggml.eos_token_id"] = 258,
        };
        foreach ((string key, object? value) in keys ?? new Dictionary<string, object?>())
        {
            pairs[key] = value;
        }

        var tensors = new List<(string Name, int[] Shape)>
        {
            ("token_embd.weight", [Vocabulary, Hidden]), ("output_norm.weight", [Hidden]), ("output.weight", [Vocabulary, Hidden]),
        };
        for (int layer = 0; layer < Layers; layer++)
        {
            int kv = (kvHeads?[layer] ?? Heads) * Hidden / Heads;
            tensors.AddRange(
            [
                ($"blk.{layer}.attn_norm.weight", [Hidden]), ($"blk.{layer}.attn_q.weight", [Hidden, Hidden]),
                ($"blk.{layer}.attn_k.weight", [kv, Hidden]), ($"blk.{layer}.attn_v.weight", [kv, Hidden]),
                ($"blk.{layer}.attn_output.weight", [Hidden, Hidden]), ($"blk.{layer}.ffn_norm.weight", [Hidden]),
                ($"blk.{layer}.ffn_gate.weight", [Width, Hidden]), ($"blk.{layer}.ffn_up.weight", [Width, Hidden]),
                ($"blk.{layer}.ffn_down.weight", [Hidden, Width]),
            ]);
        }

        using var writer = new BinaryWriter(File.Create(path));
        writer.Write("GGUF"u8);
        writer.Write(3);
        writer.Write((ulong)tensors.Count);
        KeyValuePair<string, object?>[] said = [.. pairs.Where(pair => pair.Value is not null)];
        writer.Write((ulong)said.Length);
        foreach ((string key, object? value) in said)
        {
            Text(writer, key);
            Value(writer, value!);
        }

        long at = 0;
        foreach ((string name, int[] shape) in tensors)
        {
            Text(writer, name);
            writer.Write(shape.Length);
            Array.ForEach([.. shape.Reverse()], size => writer.Write((ulong)size));
            writer.Write(0);
            writer.Write((ulong)at);
            at += ((shape.Aggregate(4L, (bytes, size) => bytes * size)) + 31) / 32 * 32;
        }

        var random = new Random(7);
        foreach ((string name, int[] shape) in tensors)
        {
            Align(writer);
            for (int i = 0; i < shape.Aggregate(1, (count, size) => count * size); i++)
            {
                writer.Write(name.Contains("norm", StringComparison.Ordinal) ? 1f : (random.NextSingle() - 0.5f) / 2);
            }
        }

        Align(writer);
        return path;
    }

    private static void Align(BinaryWriter writer)
    {
        writer.Flush();
        writer.Write(new byte[(32 - (writer.BaseStream.Position % 32)) % 32]);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Value(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case int number:
                writer.Write(4);
                writer.Write(number);
                break;
            case float number:
                writer.Write(6);
                writer.Write(number);
                break;
            case bool flag:
                writer.Write(7);
                writer.Write(flag);
                break;
            case string text:
                writer.Write(8);
                Text(writer, text);
                break;
            case int[] numbers:
                writer.Write(9);
                writer.Write(5);
                writer.Write((ulong)numbers.Length);
                Array.ForEach(numbers, writer.Write);
                break;
            case string[] texts:
                writer.Write(9);
                writer.Write(8);
                writer.Write((ulong)texts.Length);
                Array.ForEach(texts, text => Text(writer, text));
                break;
            default:
                throw new ArgumentException($"A value of type {value.GetType().Name}.");
        }
    }
}
