namespace Understory.Training.Network;

/// <summary>How GGUF names a Llama's tensors, and keeps the rows of queries and keys.</summary>
internal static class GgufNames
{
    /// <param name="name">As Hugging Face has it.</param>
    public static string Of(string name)
    {
        string[] parts = name.Split('.');
        if (parts[1] != "layers")
        {
            return parts[1] == "norm" ? "output_norm.weight" : "token_embd.weight";
        }

        string own = parts[^2] switch
        {
            "input_layernorm" => "attn_norm",
            "post_attention_layernorm" => "ffn_norm",
            "q_proj" => "attn_q",
            "k_proj" => "attn_k",
            "v_proj" => "attn_v",
            "o_proj" => "attn_output",
            "gate_proj" => "ffn_gate",
            "up_proj" => "ffn_up",
            _ => "ffn_down",
        };
        return $"blk.{parts[2]}.{own}.weight";
    }

    /// <summary>Rows of a head stand for turning neighbours (2i, 2i + 1), where Hugging Face turns halves.</summary>
    public static bool IsInterleaved(string name) => name.Contains(".q_proj.", StringComparison.Ordinal)
        || name.Contains(".k_proj.", StringComparison.Ordinal);

    /// <summary>Rows for halves as rows for neighbours.</summary>
    public static float[] Interleaved(ReadOnlySpan<float> values, int columns, int headDim) => Moved(values, columns, headDim, back: false);

    /// <summary>The other way round.</summary>
    public static float[] Parted(ReadOnlySpan<float> values, int columns, int headDim) => Moved(values, columns, headDim, back: true);

    private static float[] Moved(ReadOnlySpan<float> values, int columns, int headDim, bool back)
    {
        float[] moved = new float[values.Length];
        for (int row = 0; row < values.Length / columns; row++)
        {
            int within = row % headDim;
            int half = headDim / 2;
            int other = row - within + (within < half ? 2 * within : (2 * (within - half)) + 1);
            (int from, int to) = back ? (other, row) : (row, other);
            values.Slice(from * columns, columns).CopyTo(moved.AsSpan(to * columns));
        }

        return moved;
    }
}
