namespace Understory.Models.Architecture.Families;

/// <summary>
/// Mistral 7B (Jiang et al., arXiv 2310.06825) and its successors: a Llama whose layers all slide, where the config has a window.
/// </summary>
internal class Mistral : LlamaLike
{
    public override string Name => "mistral";

    internal override string? GgufName => null;

    protected override (bool Qkv, bool Output) Biases(JsonKeys config) => (false, false);

    protected override int[] Windows(JsonKeys config, int layers) =>
        config.Integer("sliding_window", 0) is > 0 and int window ? SlidingFrom(config, layers, window, first: 0) : [];
}
