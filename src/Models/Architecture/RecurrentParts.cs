using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// Under which names a checkpoint keeps a recurrent layer, behind the layer's own; those of projections less ".weight", others whole.
/// </summary>
internal sealed record RecurrentNames
{
    /// <summary>Queries, keys and values: all queries, all keys, all values.</summary>
    public string Qkv { get; init; } = "";

    /// <summary>Gates of the output.</summary>
    public string Gate { get; init; } = "";

    /// <summary>In one matrix, for each key head: its query, its key, its values and their gates; instead of the two above.</summary>
    public string QkvGate { get; init; } = "";

    public string Beta { get; init; } = "";

    public string Alpha { get; init; } = "";

    /// <summary>In one matrix, for each key head: beta and then alpha of its value heads; instead of the two above.</summary>
    public string BetaAlpha { get; init; } = "";

    public required string Convolution { get; init; }

    /// <summary>The convolution is <c>[channels, 1, taps]</c>; else <c>[channels, taps]</c>.</summary>
    public bool Depthwise { get; init; }

    public required string TimeBias { get; init; }

    public required string Decay { get; init; }

    /// <summary>The decay is kept as A_log; else as <c>-exp(A_log)</c>.</summary>
    public bool Logarithmic { get; init; }

    public required string Norm { get; init; }

    public required string Output { get; init; }

    /// <summary>Those that are worth quantising.</summary>
    public IEnumerable<string> Matrices => new[] { Qkv, Gate, QkvGate, Output }.Where(name => name.Length > 0);

    /// <summary>As transformers names them, of Qwen 3.5.</summary>
    public static RecurrentNames HuggingFace { get; } = new()
    {
        Qkv = "linear_attn.in_proj_qkv",
        Gate = "linear_attn.in_proj_z",
        Beta = "linear_attn.in_proj_b",
        Alpha = "linear_attn.in_proj_a",
        Convolution = "linear_attn.conv1d.weight",
        Depthwise = true,
        TimeBias = "linear_attn.dt_bias",
        Decay = "linear_attn.A_log",
        Logarithmic = true,
        Norm = "linear_attn.norm.weight",
        Output = "linear_attn.out_proj",
    };

    public static RecurrentNames Gguf { get; } = new()
    {
        Qkv = "attn_qkv",
        Gate = "attn_gate",
        Beta = "ssm_beta",
        Alpha = "ssm_alpha",
        Convolution = "ssm_conv1d.weight",
        TimeBias = "ssm_dt.bias",
        Decay = "ssm_a",
        Norm = "ssm_norm.weight",
        Output = "ssm_out",
    };
}

/// <summary>A recurrent layer's weights, asked for by their names.</summary>
/// <param name="prefix">Of the layer.</param>
internal sealed class RecurrentParts(string prefix, RecurrentNames names, int hidden, RecurrentShape shape, WeightLoader loader)
{
    /// <summary><c>[InputSize, hidden]</c>: queries, keys, values, gates, beta, alpha.</summary>
    public Projection Inputs() => new(loader.Stacked(
        [.. names.QkvGate.Length > 0 ? ByKeyHead() : [Whole(names.Qkv, shape.Channels), Whole(names.Gate, shape.ValueSize)],
            .. names.BetaAlpha.Length > 0 ? [.. OfKeyHeads(names.BetaAlpha, 0, Served), .. OfKeyHeads(names.BetaAlpha, Served, Served)]
                : new[] { Whole(names.Beta, shape.ValueHeads), Whole(names.Alpha, shape.ValueHeads) }],
        hidden));

    /// <param name="epsilon">Of the norm.</param>
    public RecurrentParams Others(float epsilon)
    {
        float[] decay = loader.Values([new TensorPart(prefix + names.Decay, shape.ValueHeads)]);
        float[] taps = loader.Values(
            prefix + names.Convolution, names.Depthwise ? [shape.Channels, 1, shape.Taps] : [shape.Channels, shape.Taps]);
        float[] byTap = new float[taps.Length];
        for (int i = 0; i < taps.Length; i++)
        {
            (int channel, int tap) = Math.DivRem(i, shape.Taps);
            byTap[(tap * shape.Channels) + channel] = taps[i];
        }

        return new RecurrentParams(
            loader.Vector(byTap) with { Rows = shape.Taps, Columns = shape.Channels, Stride = shape.Channels },
            loader.Vector([new TensorPart(prefix + names.TimeBias, shape.ValueHeads)]),
            loader.Vector(names.Logarithmic ? Array.ConvertAll(decay, log => (float)-Math.Exp(log)) : decay),
            // Its weights are kept as they are where those of the others are kept less 1.
            new Norm(NormKind.RmsNorm, loader.Vector([new TensorPart(prefix + names.Norm, shape.ValueDim)]), default, epsilon));
    }

    /// <summary>Value heads that a key head serves.</summary>
    private int Served => shape.ValueHeads / shape.KeyHeads;

    private TensorPart Whole(string name, int rows) => new($"{prefix}{name}.weight", rows);

    private TensorPart[] ByKeyHead()
    {
        int values = Served * shape.ValueDim;
        int key = shape.KeyDim;
        return
        [
            .. OfKeyHeads(names.QkvGate, 0, key), .. OfKeyHeads(names.QkvGate, key, key), .. OfKeyHeads(names.QkvGate, 2 * key, values),
            .. OfKeyHeads(names.QkvGate, (2 * key) + values, values),
        ];
    }

    /// <summary>The same rows of what a matrix has for each key head.</summary>
    private IEnumerable<TensorPart> OfKeyHeads(string name, int first, int rows)
    {
        int all = name == names.BetaAlpha ? 2 * Served : 2 * (shape.KeyDim + (Served * shape.ValueDim));
        return Enumerable.Range(0, shape.KeyHeads).Select(head =>
            new TensorPart($"{prefix}{name}.weight", rows, First: (head * all) + first, Of: shape.KeyHeads * all));
    }
}
