namespace Understory.Models.Architecture.Families;

/// <summary>SmolLM3 (Hugging Face, 2025): a Llama of which every fourth layer turns nothing.</summary>
internal sealed class SmolLm3 : LlamaLike
{
    private const int Interval = 4;

    public override string Name => "smollm3";

    /// <summary>GGUF keeps the rows of a query or key head for rotating neighbours (2i, 2i + 1).</summary>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Interleaved = true };

    protected override string Defaults => """{"tie_word_embeddings": true}""";

    protected override int[] Windows(JsonKeys config, int layers) =>
        config.Flag("use_sliding_window", false) && config.Integer("sliding_window", 0) is > 0 and int window
            ? SlidingFrom(config, layers, window, first: 0)
            : [];

    /// <summary><c>no_rope_layers</c> has a 1 for each layer that turns.</summary>
    private protected override ModelConfig Adapt(ModelConfig model, JsonKeys config)
    {
        int[] turns = config.Integers("no_rope_layers");
        if (turns.Length > 0 && turns.Length != model.Layers.Count)
        {
            throw new InvalidDataException($"\"no_rope_layers\" has {turns.Length} entries for {model.Layers.Count} layers.");
        }

        int interval = config.Integer("no_rope_layer_interval", Interval);
        return turns.Length > 0 ? Turning(model, layer => turns[layer] != 0) : Turning(model, layer => (layer + 1) % interval != 0);
    }

    private protected override ModelConfig Adapt(ModelConfig model, GgufKeys keys) => Turning(model, layer => (layer + 1) % Interval != 0);

    private static ModelConfig Turning(ModelConfig model, Func<int, bool> turns) => Replan(
        model, (layer, number) => layer with { Attention = layer.Attention with { Rotary = turns(number) ? 0 : null } });
}
