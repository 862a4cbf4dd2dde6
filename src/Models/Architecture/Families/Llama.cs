namespace Understory.Models.Architecture.Families;

/// <summary>
/// Llama 1 to 3.3 and what calls itself by its name (SmolLM2 and many more). Its GGUF files are also Mistral's and Mixtral's.
/// </summary>
internal sealed class Llama : LlamaLike
{
    public override string Name => "llama";

    /// <summary>GGUF keeps the rows of a query or key head for rotating neighbours (2i, 2i + 1).</summary>
    internal override TensorNames GgufNames { get; } = TensorNames.Gguf with { Interleaved = true };

    private protected override ExpertsPlan Experts(GgufKeys keys, int count) => UsualExperts(keys, count);
}
