namespace Understory.Peer;

/// <summary>The shape of a Llama of random weights, its head tied to its embedding.</summary>
/// <param name="Width">Of the residual stream; a multiple of 256, as K and IQ types ask of rows.</param>
/// <param name="Mlp">Likewise.</param>
internal sealed record Shape(string Name, int Layers, int Width, int Heads, int KvHeads, int Mlp, int Vocabulary, int Context = 4096)
{
    public static IReadOnlyList<Shape> All { get; } =
    [
        new("small", 2, 512, 8, 2, 1536, 4_096),
        new("4x1024", 4, 1024, 16, 4, 2816, 32_000),
        new("0.5b", 24, 1024, 16, 4, 2816, 151_936),
        new("1.5b", 28, 1536, 12, 2, 8960, 151_936),
    ];

    public int KvWidth => Width / Heads * KvHeads;

    /// <summary>Weights of matrices; the embedding counts once.</summary>
    public long Parameters => Matrices().Sum(matrix => (long)matrix.Rows * matrix.Columns);

    public static Shape Of(string name) => All.FirstOrDefault(shape => shape.Name == name)
        ?? throw new ArgumentException($"No shape \"{name}\"; there are {string.Join(", ", All.Select(shape => shape.Name))}.");

    /// <summary>
    /// Every matrix by GGUF's name. A product of it with inputs of variance 1 has outputs of variance <c>Scale^2 * Columns</c>.
    /// </summary>
    public IEnumerable<(string Name, int Rows, int Columns, double Scale)> Matrices()
    {
        double even = 1 / Math.Sqrt(Width);
        // What is added to the residual stream is scaled down by the number of additions (GPT-2, section 2.3).
        double deep = 1 / Math.Sqrt(2 * Layers);
        yield return ("token_embd", Vocabulary, Width, even);
        for (int layer = 0; layer < Layers; layer++)
        {
            yield return ($"blk.{layer}.attn_q", Width, Width, even);
            yield return ($"blk.{layer}.attn_k", KvWidth, Width, even);
            yield return ($"blk.{layer}.attn_v", KvWidth, Width, even);
            yield return ($"blk.{layer}.attn_output", Width, Width, deep * even);
            yield return ($"blk.{layer}.ffn_gate", Mlp, Width, even);
            yield return ($"blk.{layer}.ffn_up", Mlp, Width, even);
            yield return ($"blk.{layer}.ffn_down", Width, Mlp, deep / Math.Sqrt(Mlp));
        }
    }

    /// <summary>
    /// Every norm by GGUF's name, with the median of its weights: behind the last layer it gives logits a standard deviation of about 3.
    /// </summary>
    public IEnumerable<(string Name, double Mean)> Norms()
    {
        yield return ("output_norm", 3);
        for (int layer = 0; layer < Layers; layer++)
        {
            yield return ($"blk.{layer}.attn_norm", 1);
            yield return ($"blk.{layer}.ffn_norm", 1);
        }
    }
}
