namespace Understory.Models.Architecture.Families;

/// <summary>Qwen2 and Qwen2.5 (arXiv 2407.10671): a Llama with biases on queries, keys and values.</summary>
internal class Qwen2 : LlamaLike
{
    public override string Name => "qwen2";

    protected override (bool Qkv, bool Output) Biases(JsonKeys config) => (true, false);

    /// <summary>Slides where it says so, from layer <c>max_window_layers</c> on.</summary>
    protected override int[] Windows(JsonKeys config, int layers) =>
        config.Integer("sliding_window", 0) is > 0 and int window && config.Flag("use_sliding_window", false)
            ? SlidingFrom(config, layers, window, config.Strings("layer_types").Length > 0 ? 0 : config.Integer("max_window_layers"))
            : [];
}
