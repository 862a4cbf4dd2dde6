using System.Globalization;
using System.Text.RegularExpressions;
using Understory.Models.Architecture.Families;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tokenizers;

namespace Understory.Models.Architecture;

/// <param name="Context">Tokens that a sequence may hold; null: as many as the model was trained for.</param>
/// <param name="CacheType">Type of keys and values; null: that of the weights.</param>
/// <param name="Progress">Is told what is being loaded and how far it is.</param>
/// <param name="Weights">
/// One of <see cref="QuantisedTensors.Formats"/>, to which matrices of plain numbers are quantised while they are loaded; null: all stay as
/// the file has them. The embedding and the head have at least Q8_0, and norms, biases and learned positions stay as they are.
/// </param>
/// <param name="Memory">
/// Bytes that weights may take; null: what is free. Where they would take more, experts stay in their file, and are read from there.
/// </param>
/// <param name="Head">The draft head that the model's own files may hold is loaded too.</param>
public sealed record LoadOptions(
    int? Context = null, CacheType? CacheType = null, Action<string, LoadProgress>? Progress = null, WeightFormat? Weights = null,
    long? Memory = null, bool Head = false)
{
    /// <summary>
    /// The network that was loaded from the same files, of which a copy in four bits is wanted (<see cref="LowBitCopy"/>), of the same
    /// context and over the same keys and values; null: the model itself is.
    /// </summary>
    public Transformer? CopyOf { get; init; }
}

/// <summary>Loads models: a Hugging Face folder (config.json, *.safetensors, tokenizer.json) or a <c>.gguf</c> file.</summary>
public static partial class ModelLoader
{
    /// <summary>A model with its tokenizer.</summary>
    /// <exception cref="ModelLoadException">Something is missing, damaged or not supported.</exception>
    public static LanguageModel Load(string path, IKernels kernels, LoadOptions options) => Guarded(path, () =>
    {
        using var checkpoint = Checkpoint.Open(path);
        ModelConfig config = checkpoint.Config;
        Tokenizer tokenizer = ReadTokenizer(checkpoint);
        if (tokenizer.EosId is { } end && end < config.VocabularySize && !config.EosTokenIds.Contains(end))
        {
            config = config with { EosTokenIds = [.. config.EosTokenIds, end] };
        }

        GenerationDefaults defaults = checkpoint.Defaults;
        Transformer model = Build(config, checkpoint, kernels, options, path, out DraftHead? head);
        return new LanguageModel(
            Gguf.NameOf(Path.TrimEndingDirectorySeparator(Path.GetFullPath(path))),
            Path.GetFullPath(path),
            model,
            tokenizer,
            defaults)
        {
            CopyOf = options.CopyOf,
            Head = head,
        };
    });

    /// <summary>A published draft head for a loaded model, whose embedding it shares where it has none of its own.</summary>
    /// <param name="path">A folder of which <see cref="Eagle3.IsAt"/> says so.</param>
    /// <exception cref="ModelLoadException">Something is missing, damaged or not supported, or it is no head of this model.</exception>
    public static DraftHead LoadHead(string path, LanguageModel target, IKernels kernels, LoadOptions options) =>
        Guarded(path, () => Eagle3.Load(path, target, kernels, options));

    /// <summary>What a model asks of kernels beyond what every set has: by its config, without a look at its weights.</summary>
    /// <exception cref="ModelLoadException">Something is missing, damaged or not supported.</exception>
    public static KernelFeatures Needs(string path) => Guarded(path, () =>
    {
        if (Eagle3.IsAt(path))
        {
            return Eagle3.Needs;
        }

        using var checkpoint = Checkpoint.Open(path);
        return checkpoint.Config.Features;
    });

    /// <summary>What the files hold and what serving them would take, without reading weights.</summary>
    /// <exception cref="ModelLoadException">Something is missing, damaged or not supported: the first reason not to load it.</exception>
    public static ModelSurvey Survey(string path, IKernels kernels, LoadOptions options) => Guarded(path, () =>
    {
        using var checkpoint = Checkpoint.Open(path);
        Tokenizer tokenizer = ReadTokenizer(checkpoint);
        ModelConfig config = Checked(checkpoint.Config, kernels, options);
        TensorNames names = checkpoint.Names.WithExpertsOf(checkpoint.Tensors, config.Layers.Count);
        using QuantisedTensors? quantised = Quantised(config, checkpoint.Tensors, names, options);
        names = quantised is null ? names : names.Turned();
        using var loader = new WeightLoader(quantised ?? checkpoint.Tensors, kernels, options.Memory);
        var weights = Weights.Describe(config, names, loader);
        long parameters = loader.Parameters;
        HeadParts? head = HeadParts.Describe(config, names, loader, weights);
        return ModelSurvey.Of(config, tokenizer, weights, loader, CacheTypeOf(weights, options)) with
        {
            Head = head?.Config.Head,
            HeadParameters = loader.Parameters - parameters,
            HeadCacheBytesPerToken = head is null ? 0 : KvCache.SlotBytes(head.Config, CacheTypeOf(weights, options)),
        };
    });

    /// <summary>What a published draft head would take beside its model.</summary>
    /// <param name="path">A folder of which <see cref="Eagle3.IsAt"/> says so.</param>
    /// <exception cref="ModelLoadException">Something is missing, damaged or not supported, or it is no head of this model.</exception>
    public static ModelSurvey SurveyHead(string path, ModelSurvey target, IKernels kernels, LoadOptions options) =>
        Guarded(path, () => Eagle3.Survey(path, target, kernels, options));

    /// <summary>The model's network alone.</summary>
    /// <exception cref="ModelLoadException">Something is missing, damaged or not supported.</exception>
    public static Transformer LoadTransformer(string path, IKernels kernels, LoadOptions options) => Guarded(path, () =>
    {
        using var checkpoint = Checkpoint.Open(path);
        return Build(checkpoint.Config, checkpoint, kernels, options with { Head = false }, path, out _);
    });

    /// <summary>
    /// A network of random weights built in memory, for figures of speed: "gpt2:768x12:4096" is hidden size x layers : vocabulary, with
    /// ":context" optional; heads are 64 wide.
    /// </summary>
    /// <exception cref="ModelLoadException">The specification cannot be read.</exception>
    public static Transformer Random(string specification, IKernels kernels, ulong seed, LoadOptions? options = null) =>
        Guarded(specification, () => Random(RandomConfig(specification), specification, kernels, seed, options));

    /// <summary>A network of random weights of any shape.</summary>
    internal static Transformer Random(ModelConfig config, string name, IKernels kernels, ulong seed, LoadOptions? options = null)
    {
        using var source = new RandomTensors(seed);
        return Built(config, source, config.Family.HuggingFaceNames.In(source), kernels, options ?? new LoadOptions(), name).Model;
    }

    private static Transformer Build(
        ModelConfig config, Checkpoint checkpoint, IKernels kernels, LoadOptions options, string name, out DraftHead? head)
    {
        (Transformer model, Weights weights) = Built(config, checkpoint.Tensors, checkpoint.Names, kernels, options, name);
        weights.Files = weights.MappedBytes > 0 ? checkpoint.HandOver() : null;
        head = weights.DraftHead is { } parts ? new DraftHead(parts, kernels, model.CacheType) : null;
        return model;
    }

    private static (Transformer Model, Weights Weights) Built(ModelConfig config, ITensorSource source, TensorNames names, IKernels kernels,
        LoadOptions options, string name)
    {
        config = options.CopyOf?.Config ?? Checked(config, kernels, options);
        names = names.WithExpertsOf(source, config.Layers.Count);
        using QuantisedTensors? quantised = Quantised(config, source, names, options);
        if (quantised is not null)
        {
            (source, names) = (quantised, names.Turned());
        }

        Action<LoadProgress>? progress = options.Progress is { } report ? done => report(name, done) : null;
        Action<Weights>? check = options.CopyOf is { } original ? copy => LowBitCopy.Require(original, copy) : null;
        Weights weights = Weights.Load(config, source, names, kernels, progress, options.Memory, check);
        try
        {
            CacheType cache = options.CopyOf?.CacheType ?? CacheTypeOf(weights, options);
            return (new Transformer(config, weights, kernels, cache, options.CopyOf is null ? null : LowBitCopy.MaxRows), weights);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    private static Tokenizer ReadTokenizer(Checkpoint checkpoint) =>
        checkpoint.ReadTokenizer().Within(checkpoint.Config.VocabularySize);

    /// <summary>The checkpoint's matrices as <see cref="LoadOptions"/> want them; null where they want nothing.</summary>
    internal static QuantisedTensors? Quantised(ModelConfig config, ITensorSource source, TensorNames names, LoadOptions options)
    {
        WeightFormat? format = options.CopyOf is null ? options.Weights : LowBitCopy.Format;
        if (format is null)
        {
            return null;
        }

        Func<string, MatrixPlan> plan = names.Quantised(config, format);
        return new QuantisedTensors(source, options.CopyOf is null ? plan : name => LowBitCopy.Plan(plan(name)));
    }

    /// <summary>That of the weights, unless another one is asked for.</summary>
    private static CacheType CacheTypeOf(Weights weights, LoadOptions options) =>
        options.CacheType ?? (weights.Embedding.Format is DenseFormat dense ? CacheTypes.Of(dense.Type) : CacheType.BF16);

    /// <summary>The config with the context that is asked for, where these kernels can run it.</summary>
    private static ModelConfig Checked(ModelConfig config, IKernels kernels, LoadOptions options)
    {
        config = config.WithContext(options.Context);
        config = (options.Head ? config : config with { DraftHead = null }).Validated();
        config.RequireOf(kernels);
        if (options.CacheType is { } asked && !kernels.CacheTypes.Contains(asked))
        {
            string others = string.Join(" or ", kernels.CacheTypes.Where(type => type != CacheType.F32).Select(type => type.Name()));
            throw new InvalidDataException(
                $"--kv {asked.Name()}: the {kernels.Name} kernels cannot keep keys and values so; --kv {others} they can, "
                + $"or --device cpu takes {asked.Name()}.");
        }

        return config;
    }

    private static ModelConfig RandomConfig(string specification)
    {
        Match match = RandomSpecification().Match(specification);
        int hidden = Size(2);
        int context = match.Groups[5].Success ? Size(5) : 1024;
        Family? family = Family.All.FirstOrDefault(family => family.Name == match.Groups[1].Value);
        if (family is null || hidden % 64 != 0)
        {
            throw new ModelLoadException(
                $"\"{specification}\" describes no random model; \"gpt2:768x12:4096\" does: "
                    + $"{string.Join(", ", Family.All.Select(family => family.Name))}, "
                + "then the hidden size (a multiple of 64) x layers, the vocabulary, and optionally \":\" and the context.");
        }

        return family.OfShape(hidden, Size(3), Size(4), context);

        int Size(int group) => int.TryParse(match.Groups[group].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int size)
            ? size : 0;
    }

    [GeneratedRegex("^([a-z0-9_]+):([0-9]+)x([0-9]+):([0-9]+)(?::([0-9]+))?$")]
    private static partial Regex RandomSpecification();

    /// <summary>Whatever goes wrong with a model's files becomes one kind of exception.</summary>
    private static T Guarded<T>(string path, Func<T> load)
    {
        try
        {
            return load();
        }
        catch (Exception error) when (
            error is InvalidDataException or IOException or UnauthorizedAccessException or InsufficientMemoryException or OverflowException)
        {
            string line = error.Message.ReplaceLineEndings(" ");
            throw new ModelLoadException(line.Contains(path, StringComparison.Ordinal) ? line : $"{path}: {line}", error);
        }
    }
}
