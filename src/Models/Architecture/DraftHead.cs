using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// A small network that guesses what a model says next, from the model's own states (see <see cref="HeadPlan"/>): a next-token-prediction
/// block of the model's files, or an EAGLE-3 head.
/// </summary>
public sealed class DraftHead : IDisposable
{
    /// <summary>
    /// Rows of a pass: committed tokens, and those of a tree. Chosen: a prompt's are taken in at a third of the cost of one by one, and
    /// logits of so many rows of a large vocabulary still fit beside a model.
    /// </summary>
    private const int PassRows = 128;

    /// <param name="targetIds">See <see cref="TargetIds"/>.</param>
    internal DraftHead(HeadParts parts, IKernels kernels, CacheType cacheType, int[]? targetIds = null)
    {
        Network = new Transformer(parts.Config, parts.Weights, kernels, cacheType, PassRows);
        TargetIds = targetIds;
    }

    /// <summary>The head as a network whose rows begin from states: <see cref="Transformer.WriteState"/>.</summary>
    public Transformer Network { get; }

    public HeadPlan Plan => Network.Config.Head!;

    /// <summary>The model's token of each logit; null: logits are those of the model's first tokens.</summary>
    public int[]? TargetIds { get; }

    public void Dispose() => Network.Dispose();
}

/// <summary>A draft head's config, and its weights, which are packed with its model's.</summary>
internal sealed record HeadParts(ModelConfig Config, Weights Weights)
{
    /// <summary>
    /// Tokens that a block of a model with a far larger vocabulary proposes: those of the lowest ids. Byte-pair vocabularies are in the
    /// order of their merges, the most frequent first, and the first 32,768 are nearly all of any text. (FR-Spec, arXiv 2502.14856.)
    /// </summary>
    private const int Trimmed = 1 << 15;

    /// <summary>The head in the files of a model whose weights were described; null: there is none, or it is not wanted.</summary>
    public static HeadParts? Describe(ModelConfig config, TensorNames names, WeightLoader loader, Weights weights)
    {
        HeadNames? head = names.DraftHead?.Of(config.Layers.Count);
        if (config.DraftHead is not { } own || head is null || !loader.Contains(head.Projection + ".weight"))
        {
            return null;
        }

        bool trim = own.VocabularySize > 2 * Trimmed && !loader.Contains(head.Head + ".weight")
            && weights.Head.Parts.Length == 1 && loader.Kernels.Leading(weights.Head.Parts[0], Trimmed) is not null;
        own = trim ? own with { Logits = Trimmed } : own;
        return new HeadParts(own, Weights.Describe(own, names.OfHead(head), loader, weights));
    }
}
