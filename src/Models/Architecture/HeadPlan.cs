using System.Globalization;
using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// How the stream of a draft head begins: from a token and a state s, of the model that it drafts for or its own one token earlier.
/// A next-token-prediction block (DeepSeek-V3, arXiv 2412.19437; Qwen3-Next) reads the model's state behind its last norm,
/// <c>x = projection([norm(embedding) | norm(s)])</c>, and goes on from its own behind its last norm. An EAGLE-3 head (arXiv 2503.01840)
/// reads the states that enter some of the model's layers, <c>x = projection(s)</c>, its one layer's queries, keys and values read
/// <c>[norm(embedding) | norm(x)]</c>, and it goes on from its own x before its last norm.
/// </summary>
/// <param name="Layers">The layers of the model whose entering states are read, side by side; none: the state behind its last norm.</param>
public sealed record HeadPlan(IReadOnlyList<int> Layers)
{
    /// <summary>It reads the states that enter layers.</summary>
    public bool ReadsLayers => Layers.Count > 0;

    /// <summary>Which of its own states it goes on from, as <see cref="Layers"/>.</summary>
    public IReadOnlyList<int> OwnLayers => ReadsLayers ? [1] : [];

    /// <summary>Numbers of the model's states of one token.</summary>
    public int StateSize(int hidden) => Math.Max(1, Layers.Count) * hidden;

    /// <summary>Inputs of its projection.</summary>
    public int ProjectionInputs(int hidden) => ReadsLayers ? StateSize(hidden) : 2 * hidden;

    /// <summary>Inputs of its layer's queries, keys and values.</summary>
    public int AttentionInputs(int hidden) => ReadsLayers ? 2 * hidden : hidden;

    public override string ToString() =>
        ReadsLayers ? $"EAGLE-3, reads the states that enter layers {string.Join(", ", Layers)}" : "next-token prediction (MTP)";
}

/// <summary>What a draft head has beside an ordinary model's weights.</summary>
/// <param name="Projection"><c>[hidden, ProjectionInputs]</c></param>
public sealed record HeadWeights(Projection Projection, Norm EmbeddingNorm, Norm StateNorm);

/// <summary>Under which names a draft head keeps them, whole but for ".weight".</summary>
internal sealed record HeadNames(string Projection, string EmbeddingNorm, string StateNorm)
{
    /// <summary>The begin of its layer's names, with the number of the model's layers in place of <c>{0}</c>; so have the others.</summary>
    public required string Layer { get; init; }

    public required string FinalNorm { get; init; }

    /// <summary>An embedding of its own; where there is none it reads the model's.</summary>
    public required string Embedding { get; init; }

    /// <summary>A head of its own; where there is none it ends in the model's.</summary>
    public required string Head { get; init; }

    /// <summary>Of prediction blocks, as Qwen's checkpoints name them.</summary>
    public static HeadNames Mtp { get; } = new("mtp.fc", "mtp.pre_fc_norm_embedding", "mtp.pre_fc_norm_hidden")
    {
        Layer = "mtp.layers.0.",
        FinalNorm = "mtp.norm",
        Embedding = "mtp.embed_tokens",
        Head = "mtp.shared_head.head",
    };

    /// <summary>Of prediction blocks in GGUF files: the first block behind the model's layers.</summary>
    public static HeadNames NextN { get; } = new("blk.{0}.nextn.eh_proj", "blk.{0}.nextn.enorm", "blk.{0}.nextn.hnorm")
    {
        Layer = "blk.{0}.",
        FinalNorm = "blk.{0}.nextn.shared_head_norm",
        Embedding = "blk.{0}.nextn.embed_tokens",
        Head = "blk.{0}.nextn.shared_head_head",
    };

    /// <summary>Of EAGLE-3 heads as they are published; <c>{1}</c> is what they call their layer.</summary>
    public static HeadNames Eagle3 { get; } = new("fc", "{1}.input_layernorm", "{1}.hidden_norm")
    {
        Layer = "{1}.",
        FinalNorm = "norm",
        Embedding = "embed_tokens",
        Head = "lm_head",
    };

    /// <summary>The names of a head behind so many layers.</summary>
    /// <param name="layer">What it calls its layer, where that differs.</param>
    public HeadNames Of(int layers, string layer = "")
    {
        string number = layers.ToString(CultureInfo.InvariantCulture);
        return new HeadNames(In(Projection), In(EmbeddingNorm), In(StateNorm))
        {
            Layer = In(Layer),
            FinalNorm = In(FinalNorm),
            Embedding = In(Embedding),
            Head = In(Head),
        };

        string In(string name) =>
            name.Replace("{0}", number, StringComparison.Ordinal).Replace("{1}", layer, StringComparison.Ordinal);
    }
}
