using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats.Quantised;

/// <summary>GGUF files of quantised weights, made by the tests.</summary>
internal static unsafe class QuantisedModel
{
    private const int Alignment = 32;

    /// <summary>A Llama of one block, 256 wide, with another type for every matrix.</summary>
    /// <param name="type">Of all matrices, instead.</param>
    /// <param name="scales">NAME.scale of a matrix NAME, and its value.</param>
    /// <param name="change">Is given each matrix' name and blocks before they are written.</param>
    public static byte[] Llama(
        uint? type = null, IReadOnlyDictionary<string, float[]>? scales = null, Action<string, byte[]>? change = null)
    {
        scales ??= new Dictionary<string, float[]>();
        const int hidden = 256;
        string[] tokens = [.. Enumerable.Range(256, 33).Concat(Enumerable.Range(33, 33)).Select(code => ((char)code).ToString()), "end"];
        var writer = new GgufTests.Builder(tensors: 12 + (ulong)scales.Count, pairs: 12);
        writer.Key("general.architecture", 8).String("llama");
        writer.Key("llama.attention.layer_norm_rms_epsilon", 6).UInt32(BitConverter.SingleToUInt32Bits(1e-5f));
        writer.Key("tokenizer.ggml.model", 8).String("gpt2");
        writer.Key("tokenizer.ggml.pre", 8).String("gpt-2");
        writer.Key("tokenizer.ggml.merges", 9).UInt32(8).UInt64(0);
        foreach ((string key, int value) in new[]
        {
            ("llama.context_length", 64), ("llama.embedding_length", hidden), ("llama.block_count", 1),
            ("llama.feed_forward_length", hidden), ("llama.attention.head_count", 4), ("tokenizer.ggml.eos_token_id", tokens.Length - 1),
        })
        {
            writer.Key(key, 4).UInt32((uint)value);
        }

        writer.Key("tokenizer.ggml.tokens", 9).UInt32(8).UInt64((ulong)tokens.Length);
        Array.ForEach(tokens, token => writer.String(token));
        (string Name, int Rows, uint Type)[] tensors =
        [
            ("token_embd", tokens.Length, 8), ("output_norm", 1, 0), ("output", tokens.Length, 14),
            ("blk.0.attn_norm", 1, 0), ("blk.0.ffn_norm", 1, 0),
            ("blk.0.attn_q", hidden, 12), ("blk.0.attn_k", hidden, 13), ("blk.0.attn_v", hidden, 2), ("blk.0.attn_output", hidden, 11),
            ("blk.0.ffn_gate", hidden, 10), ("blk.0.ffn_up", hidden, 16), ("blk.0.ffn_down", hidden, 23),
        ];
        ulong offset = 0;
        var data = new List<byte>();
        foreach ((string name, int rows, uint own) in tensors)
        {
            uint number = rows == 1 ? own : type ?? own;
            writer.String(name + ".weight").UInt32(rows == 1 ? 1u : 2u).UInt64(hidden);
            if (rows > 1)
            {
                writer.UInt64((ulong)rows);
            }

            writer.UInt32(number).UInt64(offset);
            byte[] blocks = Blocks(GgufTypes.Find(number)!, rows * hidden, name.Length);
            change?.Invoke(name, blocks);
            Put(blocks);
        }

        foreach ((string name, float[] values) in scales)
        {
            writer.String(name + ".scale").UInt32(1).UInt64((ulong)values.Length).UInt32(0).UInt64(offset);
            Put([.. values.SelectMany(BitConverter.GetBytes)]);
        }

        return writer.Align().Bytes([.. data]).ToArray();

        void Put(byte[] bytes)
        {
            data.AddRange([.. bytes, .. new byte[(Alignment - (bytes.Length % Alignment)) % Alignment]]);
            offset = (ulong)data.Count;
        }
    }

    /// <summary>Random blocks whose values are neither NaN nor beyond 4 in size; of plain formats ones.</summary>
    public static byte[] Blocks(WeightFormat format, int elements, int seed)
    {
        if (format is not QuantisedFormat quantised)
        {
            return [.. Enumerable.Repeat(BitConverter.GetBytes(1f), elements).SelectMany(one => one)];
        }

        var random = new Random(seed);
        byte[] blocks = new byte[format.Bytes(elements)];
        float[] values = new float[format.BlockElements];
        fixed (byte* start = blocks)
        fixed (float* to = values)
        {
            for (int at = 0; at < blocks.Length; at += format.BlockBytes)
            {
                do
                {
                    random.NextBytes(blocks.AsSpan(at, format.BlockBytes));
                    quantised.Decode(start + at, values.Length, to);
                }
                while (!values.All(value => Math.Abs(value) < 4));
            }
        }

        return blocks;
    }
}
