using Understory.Models.Kernels;

namespace Understory.Models.Architecture.Families;

/// <summary>
/// What Qwen3-Next and Qwen 3.5 have in common: three layers with a gated DeltaNet to one with attention, whose output is gated and of
/// whose heads a quarter turns. Hugging Face keeps the weights of RMSNorms less 1, but for the gated ones'; GGUF keeps them whole.
/// </summary>
internal abstract class QwenHybrid : LlamaLike
{
    private const int UsualInterval = 4;

    internal override TensorNames HuggingFaceNames => OfHuggingFace;

    internal override TensorNames GgufNames => OfGguf;

    private protected static TensorNames OfHuggingFace { get; } = Usual with
    {
        NormOffset = 1,
        QueryGates = true,
        Recurrent = RecurrentNames.HuggingFace,
        DraftHead = HeadNames.Mtp,
    };

    private protected static TensorNames OfGguf { get; } = TensorNames.Gguf with
    {
        MlpNorm = "post_attention_norm",
        QueryGates = true,
        Recurrent = RecurrentNames.Gguf,
        DraftHead = HeadNames.NextN,
    };

    protected override QkNorm QkNorm => QkNorm.Heads;

    /// <summary>
    /// Value head h is served by key head <c>h mod KeyHeads</c> in GGUF files; Hugging Face has <c>h / (ValueHeads / KeyHeads)</c>.
    /// </summary>
    protected abstract bool TiledInGguf { get; }

    protected override (bool Qkv, bool Output) Biases(JsonKeys config) => config.Flag("attention_bias", false)
        ? throw config.Unsupported("attention_bias", "such attention has no biases") : (false, false);

    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        const string Recurrent = "linear_attention";
        string[] types = config.Strings("layer_types");
        int interval = config.Integer("full_attention_interval", UsualInterval);
        if (types.Except([Recurrent, "full_attention"]).Any() || (types.Length > 0 && types.Length != model.Layers.Count))
        {
            throw config.Unsupported("layer_types", $"full_attention and {Recurrent} are, one for each layer");
        }

        var shape = new RecurrentShape(
            config.Integer("linear_num_key_heads"), config.Integer("linear_num_value_heads"), config.Integer("linear_key_head_dim"),
            config.Integer("linear_value_head_dim"), config.Integer("linear_conv_kernel_dim"), Tiled: false);
        return Hybrid(model, shape, layer => types.Length > 0 ? types[layer] == Recurrent : IsRecurrent(layer, interval));
    }

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys)
    {
        int valueHeads = keys.Count("ssm.time_step_rank");
        int inner = keys.Count("ssm.inner_size");
        if (valueHeads == 0 || inner % valueHeads != 0)
        {
            throw new InvalidDataException($"{keys.Path}: {valueHeads} recurrent heads in a width of {inner}.");
        }

        var shape = new RecurrentShape(
            keys.Count("ssm.group_count"), valueHeads, keys.Count("ssm.state_size"), inner / valueHeads, keys.Count("ssm.conv_kernel"),
            TiledInGguf);

        // Blocks that predict tokens further ahead stand at the end, and are no layers of this model.
        int layers = model.Layers.Count - keys.Count("nextn_predict_layers", 0);
        if (layers <= 0)
        {
            throw new InvalidDataException($"{keys.Path}: of {model.Layers.Count} blocks none is a layer.");
        }

        bool[]? flags = keys.Flags("attention.recurrent_layers");
        int interval = keys.Count("full_attention_interval", UsualInterval);
        return Hybrid(model with { Layers = [.. model.Layers.Take(layers)] }, shape, layer =>
            flags is not null ? layer < flags.Length && flags[layer] : IsRecurrent(layer, interval));
    }

    internal override ModelConfig OfShape(int hidden, int layers, int vocabulary, int context)
    {
        int heads = Math.Max(1, hidden / 256);
        var shape = new RecurrentShape(heads, 2 * heads, 128, 128, 4, Tiled: false);
        return Hybrid(base.OfShape(hidden, layers, vocabulary, context), shape, layer => IsRecurrent(layer, UsualInterval));
    }

    internal override ModelConfig Read(JsonKeys config) => WithHead(base.Read(config));

    internal override ModelConfig Read(GgufKeys keys) => WithHead(base.Read(keys));

    /// <summary>A prediction block is one layer like those with attention.</summary>
    private static ModelConfig WithHead(ModelConfig model) => model with
    {
        DraftHead = model.Layers.FirstOrDefault(layer => layer.Recurrent is null) is { } layer
            ? model with { Layers = [layer], TiedHead = false, Head = new HeadPlan([]) } : null,
    };

    private static bool IsRecurrent(int layer, int interval) => interval == 0 || (layer + 1) % interval != 0;

    private static ModelConfig Hybrid(ModelConfig model, RecurrentShape shape, Func<int, bool> recurrent) =>
        Replan(model, (layer, number) => recurrent(number)
            ? layer with { Attention = AttentionPlan.None, Recurrent = shape }
            : layer with { Attention = layer.Attention with { Gate = true } });
}
