using Understory.Models.Architecture;
using Understory.Models.Tensors;

namespace Understory.Training.Network;

/// <summary>Takes the weights of a model's files, to train them further.</summary>
internal static class LlamaImport
{
    /// <summary>The shape of the model at <paramref name="path"/>.</summary>
    /// <exception cref="TrainingException">It is no plain Llama with a tied head.</exception>
    public static LlamaShape ShapeOf(string path)
    {
        using var checkpoint = Checkpoint.Open(path);
        return ShapeOf(path, checkpoint.Config);
    }

    /// <summary>Puts the model's weights into a network of its shape.</summary>
    public static unsafe void Load(string path, LlamaNetwork network)
    {
        using var checkpoint = Checkpoint.Open(path);
        bool gguf = File.Exists(path);
        network.Import((name, shape) =>
        {
            StoredTensor stored = checkpoint.Tensors.Read(gguf ? GgufNames.Of(name) : name, shape);
            float[] values = new float[stored.Rows * stored.Columns];
            fixed (float* to = values)
            {
                for (int row = 0; row < stored.Rows; row++)
                {
                    stored.Format.Decode((byte*)stored.RowAddress(row), stored.Columns, to + ((long)row * stored.Columns));
                }
            }

            checkpoint.Tensors.Release(stored);
            return gguf && GgufNames.IsInterleaved(name) ? GgufNames.Parted(values, stored.Columns, network.Shape.HeadDim) : values;
        });
    }

    private static LlamaShape ShapeOf(string path, ModelConfig config)
    {
        AttentionPlan attention = config.Layers[0].Attention;
        bool plain = config.Family.Name == "llama" && config.TiedHead && config.Rotaries is [{ } rotary]
            && rotary.Scaling == RotaryScaling.None && rotary.Dim == attention.HeadDim
            && config.Layers.All(layer => layer == config.Layers[0])
            && attention is { QkvBias: false, OutputBias: false } && attention.Heads * attention.HeadDim == config.HiddenSize
            && config.Layers[0].Mlp is { Bias: false, Gated: true, Experts: null };
        return plain
            ? new LlamaShape(config.VocabularySize, config.HiddenSize, config.Layers.Count, attention.Heads, attention.KvHeads,
                config.Layers[0].Mlp.Width, config.ContextLength)
            { Epsilon = config.NormEpsilon, Theta = config.Rotaries[0].Theta }
            : throw new TrainingException($"--from {path}: only a plain Llama whose head is its embedding can be tuned; this is a "
                + $"{config.Family.Name} that is none. Leave --from out for a draft from scratch.");
    }
}
