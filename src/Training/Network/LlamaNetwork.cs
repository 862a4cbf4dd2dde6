using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Understory.Training.Network;

/// <summary>
/// A Llama whose weights can be trained. All weights are one F32 vector, the master, so that the optimiser's step is a handful of
/// operations; matrix products take bf16 copies of them where that is faster. The residual stream stays F32.
/// </summary>
public sealed class LlamaNetwork : IDisposable
{
    private readonly long[] _sizes;
    private readonly Tensor _cosine;
    private readonly Tensor _sine;

    /// <param name="bf16">Products in bf16 rather than F32.</param>
    public LlamaNetwork(LlamaShape shape, Device device, bool bf16)
    {
        Shape = shape.Validated();
        Bf16 = bf16;
        // Matrices before norms: weight decay takes a prefix of the vector.
        _sizes =
        [
            (long)shape.Vocabulary * shape.Hidden,
            .. Enumerable.Range(0, shape.Layers).SelectMany(_ => BlockSizes(shape)),
            .. Enumerable.Repeat((long)shape.Hidden, (2 * shape.Layers) + 1),
        ];
        using IDisposable untracked = no_grad();
        Master = zeros(_sizes.Sum(), dtype: ScalarType.Float32, device: device).DetachFromDisposeScope();
        using (NewDisposeScope())
        {
            Tensor positions = arange(shape.Context, dtype: ScalarType.Float64);
            Tensor angles = outer(positions, pow(shape.Theta, arange(0, shape.HeadDim, 2, dtype: ScalarType.Float64) / -shape.HeadDim));
            _cosine = angles.cos().to(ScalarType.Float32).to(device).DetachFromDisposeScope();
            _sine = angles.sin().to(ScalarType.Float32).to(device).DetachFromDisposeScope();
        }
    }

    public LlamaShape Shape { get; }

    public bool Bf16 { get; }

    public Device Device => Master.device;

    /// <summary>All weights, F32: embedding, the blocks' matrices, norms.</summary>
    public Tensor Master { get; }

    /// <summary>How many of <see cref="Master"/> are those of matrices; norms follow.</summary>
    public long MatrixWeights => _sizes.Sum() - (((2L * Shape.Layers) + 1) * Shape.Hidden);

    private ScalarType ProductType => Bf16 ? ScalarType.BFloat16 : ScalarType.Float32;

    /// <summary>
    /// Random weights: N(0, 0.02), what is added to the residual stream less by <c>sqrt(2 layers)</c> (Radford et al., GPT-2), norms 1.
    /// </summary>
    public void Randomise(long seed)
    {
        using IDisposable untracked = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed, torch.CPU);
        Tensor normal = randn(MatrixWeights, dtype: ScalarType.Float32, generator: generator).mul_(0.02).to(Device);
        Master.narrow(0, 0, MatrixWeights).copy_(normal);
        Master.narrow(0, MatrixWeights, Master.numel() - MatrixWeights).fill_(1);
        Tensor[] parts = Parts(Master);
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            Block block = BlockOf(parts, layer);
            block.Output.mul_(1 / Math.Sqrt(2 * Shape.Layers));
            block.Down.mul_(1 / Math.Sqrt(2 * Shape.Layers));
        }
    }

    /// <summary>
    /// The parts of a vector laid out as <see cref="Master"/>; the first one is the embedding <c>[vocabulary, hidden]</c>.
    /// </summary>
    public Tensor[] Parts(Tensor master)
    {
        Tensor[] parts = master.split(_sizes, 0);
        parts[0] = parts[0].view(Shape.Vocabulary, Shape.Hidden);
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            int at = 1 + (4 * layer);
            parts[at] = parts[at].view(Shape.QkvRows, Shape.Hidden);
            parts[at + 1] = parts[at + 1].view(Shape.Hidden, Shape.Hidden);
            parts[at + 2] = parts[at + 2].view(2 * Shape.Width, Shape.Hidden);
            parts[at + 3] = parts[at + 3].view(Shape.Hidden, Shape.Width);
        }

        return parts;
    }

    /// <summary>Final hidden states behind the last norm, <c>[rows * length, hidden]</c>, in the type of products.</summary>
    /// <param name="tokens">Int64 <c>[rows, length]</c></param>
    public Tensor Hidden(Tensor[] parts, Tensor tokens)
    {
        // The embedding's gradient is a sum over many tokens: F32.
        Tensor x = parts[0].index_select(0, tokens.flatten()).view(tokens.shape[0], tokens.shape[1], Shape.Hidden);
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            Block block = BlockOf(parts, layer);
            x = x + Product(Attend(Product(Norm(x, block.AttentionNorm), block.Qkv)), block.Output).to(ScalarType.Float32);
            Tensor[] gateUp = Product(Norm(x, block.MlpNorm), block.GateUp).chunk(2, -1);
            x = x + Product(F.silu(gateUp[0]) * gateUp[1], block.Down).to(ScalarType.Float32);
        }

        return Norm(x, parts[^1]).view(-1, Shape.Hidden);
    }

    /// <summary>F32 logits <c>[n, vocabulary]</c> of final hidden states <c>[n, hidden]</c>.</summary>
    public static Tensor Logits(Tensor hidden, Tensor head) => F.linear(hidden, head).to(ScalarType.Float32);

    /// <summary>F32 logits <c>[rows * length, vocabulary]</c>, without gradients.</summary>
    public Tensor Logits(Tensor tokens)
    {
        using IDisposable untracked = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor[] parts = Parts(Master);
        return Logits(Hidden(parts, tokens), parts[0].to(ProductType)).MoveToOuterDisposeScope();
    }

    /// <summary>The head's weights as products take them.</summary>
    public Tensor Head(Tensor[] parts) => parts[0].to(ProductType);

    /// <summary>Every tensor as Hugging Face names and cuts it.</summary>
    public IEnumerable<NetworkTensor> Export()
    {
        float[] all = ReadMaster();
        long at = 0;
        ReadOnlyMemory<float> Next(int rows, int columns)
        {
            var values = all.AsMemory(checked((int)at), rows * columns);
            at += values.Length;
            return values;
        }

        NetworkTensor Matrix(string name, int rows, int columns) => new(name + ".weight", [rows, columns], Next(rows, columns));
        NetworkTensor Vector(string name) => new(name + ".weight", [Shape.Hidden], Next(1, Shape.Hidden));
        int keys = Shape.KvHeads * Shape.HeadDim;
        yield return Matrix("model.embed_tokens", Shape.Vocabulary, Shape.Hidden);
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            string prefix = $"model.layers.{layer}.";
            yield return Matrix(prefix + "self_attn.q_proj", Shape.Hidden, Shape.Hidden);
            yield return Matrix(prefix + "self_attn.k_proj", keys, Shape.Hidden);
            yield return Matrix(prefix + "self_attn.v_proj", keys, Shape.Hidden);
            yield return Matrix(prefix + "self_attn.o_proj", Shape.Hidden, Shape.Hidden);
            yield return Matrix(prefix + "mlp.gate_proj", Shape.Width, Shape.Hidden);
            yield return Matrix(prefix + "mlp.up_proj", Shape.Width, Shape.Hidden);
            yield return Matrix(prefix + "mlp.down_proj", Shape.Hidden, Shape.Width);
        }

        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            yield return Vector($"model.layers.{layer}.input_layernorm");
            yield return Vector($"model.layers.{layer}.post_attention_layernorm");
        }

        yield return Vector("model.norm");
    }

    /// <summary>Takes every weight from <paramref name="read"/>, by the names and shapes of <see cref="Export"/>.</summary>
    public void Import(Func<string, int[], ReadOnlyMemory<float>> read)
    {
        float[] all = new float[Master.numel()];
        int at = 0;
        foreach (NetworkTensor tensor in Export())
        {
            read(tensor.Name, tensor.Shape).Span.CopyTo(all.AsSpan(at));
            at += tensor.Values.Length;
        }

        WriteMaster(all);
    }

    public float[] ReadMaster() => Values(Master);

    public void WriteMaster(float[] values) => Write(Master, values);

    /// <summary>A vector's numbers, wherever it lies.</summary>
    internal static float[] Values(Tensor vector)
    {
        using Tensor untracked = vector.detach();
        using Tensor near = untracked.cpu();
        return near.data<float>().ToArray();
    }

    internal static void Write(Tensor vector, float[] values)
    {
        using IDisposable untracked = no_grad();
        using Tensor near = tensor(values);
        vector.copy_(near);
    }

    public void Dispose()
    {
        Master.Dispose();
        _cosine.Dispose();
        _sine.Dispose();
    }

    private static long[] BlockSizes(LlamaShape shape) =>
    [
        (long)shape.QkvRows * shape.Hidden, (long)shape.Hidden * shape.Hidden, 2L * shape.Width * shape.Hidden,
        (long)shape.Hidden * shape.Width,
    ];

    private Block BlockOf(Tensor[] parts, int layer)
    {
        int matrices = 1 + (4 * layer);
        int norms = 1 + (4 * Shape.Layers) + (2 * layer);
        return new Block(parts[norms], parts[matrices], parts[matrices + 1], parts[norms + 1], parts[matrices + 2], parts[matrices + 3]);
    }

    private Tensor Product(Tensor x, Tensor weights) => F.linear(x, weights.to(ProductType));

    /// <summary><c>w x / sqrt(mean(x^2) + epsilon)</c>, computed in F32.</summary>
    private Tensor Norm(Tensor x, Tensor weights) =>
        (x * rsqrt((x * x).mean([-1L], keepdim: true) + Shape.Epsilon) * weights).to(ProductType);

    /// <param name="qkv"><c>[rows, length, QkvRows]</c></param>
    private Tensor Attend(Tensor qkv)
    {
        (long rows, long length) = (qkv.shape[0], qkv.shape[1]);
        long keys = Shape.KvHeads * Shape.HeadDim;
        Tensor[] parts = qkv.split([Shape.Hidden, keys, keys], -1);
        Tensor queries = Rotate(parts[0].view(rows, length, Shape.Heads, Shape.HeadDim));
        Tensor shared = Rotate(parts[1].view(rows, length, Shape.KvHeads, Shape.HeadDim));
        Tensor values = parts[2].view(rows, length, Shape.KvHeads, Shape.HeadDim).transpose(1, 2);
        int group = Shape.Heads / Shape.KvHeads;
        if (group > 1)
        {
            (shared, values) = (shared.repeat_interleave(group, 1), values.repeat_interleave(group, 1));
        }

        Tensor attended = F.scaled_dot_product_attention(queries, shared, values, is_casual: true);
        return attended.transpose(1, 2).reshape(rows, length, Shape.Hidden);
    }

    /// <summary>
    /// Turns halves <c>(i, i + HeadDim / 2)</c> of each head by its position. Returns <c>[rows, heads, length, HeadDim]</c>.
    /// </summary>
    private Tensor Rotate(Tensor heads)
    {
        long length = heads.shape[1];
        Tensor cosine = _cosine.narrow(0, 0, length);
        Tensor sine = _sine.narrow(0, 0, length);
        Tensor[] halves = heads.transpose(1, 2).to(ScalarType.Float32).chunk(2, -1);
        return cat([(halves[0] * cosine) - (halves[1] * sine), (halves[1] * cosine) + (halves[0] * sine)], -1).to(ProductType);
    }

    private sealed record Block(Tensor AttentionNorm, Tensor Qkv, Tensor Output, Tensor MlpNorm, Tensor GateUp, Tensor Down);
}
