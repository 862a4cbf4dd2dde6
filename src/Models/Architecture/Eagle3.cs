using System.Text.Json;
using Understory.Models.Architecture.Families;
using Understory.Models.Formats;
using Understory.Models.Kernels;

namespace Understory.Models.Architecture;

/// <summary>
/// EAGLE-3 heads (arXiv 2503.01840) as they are published: a folder with a config.json of its own and one layer's tensors.
/// </summary>
public static class Eagle3
{
    private const string ArchitectureMark = "Eagle3";

    /// <summary>The folder's config says that it is such a head.</summary>
    public static bool IsAt(string path)
    {
        string config = Path.Combine(path, "config.json");
        try
        {
            return File.Exists(config) && FileText.Json(config) is { ValueKind: JsonValueKind.Object } json
                && new JsonKeys(json).Strings("architectures").Any(name => name.Contains(ArchitectureMark, StringComparison.Ordinal));
        }
        catch (InvalidDataException)
        {
            // Whoever opens it as a model says what is wrong with it.
            return false;
        }
    }

    /// <summary>What every such head asks of kernels beyond what every set has.</summary>
    internal static KernelFeatures Needs => KernelFeatures.EmbeddingNorm;

    /// <exception cref="InvalidDataException">Something is missing, damaged or not supported, or it is no head of this model.</exception>
    internal static DraftHead Load(string path, LanguageModel target, IKernels kernels, LoadOptions options) =>
        Describe(path, target.Config, target.Transformer.Weights, kernels, options, (parts, loader, targetIds) =>
        {
            parts.Weights.Pack(loader, progress: null);
            return new DraftHead(parts, kernels, target.Transformer.CacheType, targetIds);
        });

    /// <summary>What a head would take beside its model.</summary>
    /// <exception cref="InvalidDataException">Something is missing, damaged or not supported, or it is no head of this model.</exception>
    internal static ModelSurvey Survey(string path, ModelSurvey target, IKernels kernels, LoadOptions options) =>
        Describe(path, target.Config, target.Weights, kernels, options, (parts, loader, _) =>
            ModelSurvey.Of(parts.Config, target.Tokenizer, parts.Weights, loader, target.CacheType) with { Head = parts.Config.Head });

    /// <param name="shared">The model's, for what the head has not of its own.</param>
    /// <param name="use">Takes the head's parts, the loader that was asked for them, and the model's ids of its tokens.</param>
    private static T Describe<T>(string path, ModelConfig target, Weights shared, IKernels kernels, LoadOptions options,
        Func<HeadParts, WeightLoader, int[]?, T> use)
    {
        ModelConfig config = Read(new JsonKeys(FileText.Json(Path.Combine(path, "config.json"))), target).Validated();
        config.RequireOf(kernels);
        using Safetensors tensors = Safetensors.OpenFolder(path);
        int[]? targetIds = TargetIds(tensors, config.LogitsSize, target.VocabularySize);
        string layer = tensors.Contains("midlayer.hidden_norm.weight") ? "midlayer" : "layers.0";
        TensorNames names = new Llama().HuggingFaceNames.OfHead(HeadNames.Eagle3.Of(target.Layers.Count, layer));
        using QuantisedTensors? quantised = ModelLoader.Quantised(config, tensors, names, options);
        using var loader = new WeightLoader(quantised ?? (ITensorSource)tensors, kernels, options.Memory);
        return use(new HeadParts(config, Weights.Describe(config, names, loader, shared)), loader, targetIds);
    }

    /// <summary>The head's config, held against the model that it is to draft for.</summary>
    private static ModelConfig Read(JsonKeys keys, ModelConfig target)
    {
        keys = keys.Has("max_position_embeddings") ? keys : keys.Over($$"""{"max_position_embeddings": {{target.TrainedContext}}}""");
        int hidden = keys.Integer("hidden_size");
        int vocabulary = keys.Integer("vocab_size");
        int layers = target.Layers.Count;
        JsonKeys eagle = keys.Object("eagle_config") ?? JsonKeys.Empty;
        int[] ids = eagle.Integers("eagle_aux_hidden_state_layer_ids");
        // What a config leaves out: an early layer, the middle one, and one near the end.
        ids = ids.Length > 0 ? ids : [2, layers / 2, layers - 3];
        if (hidden != target.HiddenSize || keys.Integer("target_hidden_size", hidden) != hidden)
        {
            throw new InvalidDataException($"its hidden size is {keys.Integer("target_hidden_size", hidden)}, the model's is "
                + $"{target.HiddenSize}: this head was made for another model.");
        }

        if (vocabulary != target.VocabularySize)
        {
            throw new InvalidDataException($"its vocabulary has {vocabulary} tokens, the model's {target.VocabularySize}: this head was "
                + "made for another model.");
        }

        if (ids.Any(id => id < 0 || id > layers) || !ids.Order().Distinct().SequenceEqual(ids))
        {
            throw new InvalidDataException($"it reads the states that enter layers {string.Join(", ", ids)} (ascending ones from 0 to "
                + $"{layers} can be read), and the model has {layers} layers: this head was made for another model.");
        }

        if (keys.Integer("num_hidden_layers", 1) != 1)
        {
            throw keys.Unsupported("num_hidden_layers", "a head of 1 layer is");
        }

        if (keys.Flag("norm_before_residual", false))
        {
            throw keys.Unsupported("norm_before_residual", "false is");
        }

        if (!eagle.Flag("use_aux_hidden_state", true))
        {
            throw eagle.Unsupported("use_aux_hidden_state", "true is");
        }

        return new Llama().Read(keys) with
        {
            ContextLength = target.ContextLength,
            Logits = keys.Integer("draft_vocab_size", vocabulary),
            TiedHead = false,
            Head = new HeadPlan(ids),
        };
    }

    /// <summary>The model's token of each of the head's: <c>d2t</c> says how far it lies behind; null: they are the same.</summary>
    private static unsafe int[]? TargetIds(Safetensors tensors, int own, int vocabulary)
    {
        if (tensors.Find("d2t") is not { } offsets)
        {
            return own == vocabulary ? null : throw new InvalidDataException(
                $"tensor \"d2t\" [{own}] is missing: without it nobody knows which of the model's tokens the head's {own} are.");
        }

        if (offsets.Type.Name != "I64" || !offsets.Shape.AsSpan().SequenceEqual([(long)own]))
        {
            throw new InvalidDataException($"tensor \"d2t\" should be I64 [{own}] and is {offsets.Type.Name} {offsets.ShownShape}.");
        }

        int[] ids = new int[own];
        var seen = new HashSet<int>();
        for (int i = 0; i < own; i++)
        {
            long id = i + ((long*)offsets.Data)[i];
            if (id < 0 || id >= vocabulary || !seen.Add((int)id))
            {
                throw new InvalidDataException($"tensor \"d2t\" gives token {i} the model's token {id}, which "
                    + (id < 0 || id >= vocabulary ? $"is none of its {vocabulary}." : "another one has already."));
            }

            ids[i] = (int)id;
        }

        return ids;
    }
}
