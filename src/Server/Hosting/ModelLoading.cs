using System.Security.Cryptography;
using System.Text;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Hub;

namespace Understory.Server.Hosting;

/// <summary>Everything that was loaded, and the loop that runs it; belongs to one thread.</summary>
public sealed record LoadedModel(
    ServedModel Served, DecodingLoop Loop, LanguageModel Target, LanguageModel? Draft, NgramModel? Ngram, IKernels Kernels) : IDisposable
{
    public void Dispose()
    {
        Loop.Dispose();
        Draft?.Dispose();
        Target.Dispose();
        Kernels.Dispose();
    }
}

/// <summary>From options to a model that decodes. Every failure is a <see cref="StartupException"/> whose message is one line.</summary>
public sealed class ModelLoading(ServerOptions options)
{
    private const string NoDrafter = "none";
    private readonly List<string> _report = [];

    /// <summary>What was chosen, and why: one line each, complete after <see cref="Load"/>.</summary>
    public IReadOnlyList<string> Report => _report;

    /// <param name="stage">Is told what is being done.</param>
    /// <exception cref="StartupException">A file is missing or unusable, or the machine lacks what was asked for.</exception>
    public LoadedModel Load(Action<string> stage)
    {
        try
        {
            return LoadParts(stage);
        }
        catch (Exception e) when (
            e is ModelLoadException or InvalidDataException or IOException or UnauthorizedAccessException
            or ArgumentException or OutOfMemoryException)
        {
            throw new StartupException(e.Message, e);
        }
    }

    private LoadedModel LoadParts(Action<string> stage)
    {
        bool demo = options.Model is null;
        string targetPath = Resolve(options.Model ?? DemoBundle.Target, "--model");
        string? draftPath = Optional(options.Draft, demo ? DemoBundle.Draft : null, "--draft");
        string? ngramPath = Optional(options.Ngram, demo ? DemoBundle.Ngram : null, "--ngram");

        stage("choosing kernels");
        IKernels kernels = CreateKernels();
        if (options.Weights is { } weights)
        {
            Note($"Weights: {weights}, quantised while they are loaded, where they have 16 or 32 bits (--weights)");
        }

        LanguageModel target = ReadModel("the target model", targetPath, kernels, options.Context, stage);
        Note($"Target: {Describe(target)} from {targetPath}");
        LanguageModel? draft = null;
        if (draftPath is not null)
        {
            draft = ReadModel("the draft model", draftPath, kernels, null, stage);
            Note($"Draft: {Describe(draft)} from {draftPath}");
        }

        NgramModel? ngram = null;
        if (ngramPath is not null)
        {
            stage("reading the n-gram table");
            ngram = NgramModel.Load(ngramPath);
            Note($"N-gram: {ngramPath}");
        }

        stage("measuring the cost of passes");
        var loop =
            new DecodingLoop(target, draft, ngram, new DecodingOptions { PrefixCacheBytes = (long)options.PrefixCacheMegabytes << 20 });
        stage("warming up");
        loop.WarmUp(TimeSpan.FromMilliseconds(400));
        SpeculationMode[] modes = [.. Enum.GetValues<SpeculationMode>().Where(loop.Supports)];
        if (!modes.Contains(options.Speculation))
        {
            throw new StartupException($"--speculation {options.Speculation.ToString().ToLowerInvariant()} needs a drafter that was not "
                + "given: see --draft and --ngram.");
        }

        return new LoadedModel(Serve(target, targetPath, kernels, modes, loop, demo), loop, target, draft, ngram, kernels);
    }

    private LanguageModel ReadModel(string what, string path, IKernels kernels, int? context, Action<string> stage)
    {
        stage($"reading {what}");
        var progress = new LoadingProgress(what, TimeProvider.System, line =>
        {
            stage(line);
            Console.Error.WriteLine(line);
        });
        var load = new LoadOptions(context, options.Kv, Progress: (_, done) => progress.Report(done), Weights: options.WeightFormat);
        LanguageModel model = ModelLoader.Load(path, kernels, load);
        return model with { Name = HubCache.RepositoryOf(path) ?? model.Name };
    }

    private ServedModel Serve(LanguageModel target, string path, IKernels kernels, SpeculationMode[] modes, DecodingLoop loop, bool demo)
    {
        string id = demo ? DemoBundle.Name : target.Name;
        return new ServedModel(
            id,
            [.. options.Aliases.Where(alias => alias != id).Distinct()],
            target.Tokenizer,
            ReadChat(target),
            target.Defaults,
            target.Config.VocabularySize,
            loop.ContextLength,
            target.Tokenizer.BosId ?? target.Config.BosTokenId ?? target.Tokenizer.EosId,
            Fingerprint(path, kernels, target.Transformer.CacheType, options.Weights),
            DateTimeOffset.UtcNow,
            modes.ToHashSet())
        {
            Kernels = kernels.Name,
            HiddenSize = target.Config.HiddenSize,
        };
    }

    /// <summary>A template beyond our Jinja must not keep the model from completing texts: chats are refused with the reason.</summary>
    private ChatFormat ReadChat(LanguageModel model)
    {
        try
        {
            return new ChatFormat(model.Tokenizer, ReadTemplate(model),
                syntax: ToolSyntax.All.FirstOrDefault(syntax => syntax.Name == options.ToolFormat));
        }
        catch (InvalidDataException e)
        {
            Note($"Chat: the model's template cannot be used, so chats are refused: {e.Message}");
            return new ChatFormat(model.Tokenizer, null, e.Message);
        }
    }

    private static ChatTemplate? ReadTemplate(LanguageModel model)
    {
        if (Directory.Exists(model.Path))
        {
            return ChatTemplate.FromFolder(model.Path);
        }

        using Gguf file = Gguf.Open(model.Path);
        const string Key = "tokenizer.chat_template";
        return !file.Metadata.Contains(Key) ? null : ChatTemplate.Parse(file.Metadata.Get<string>(Key));
    }

    /// <summary>A CUDA device where one is asked for, or where the choice is free and one can be used; else the processor.</summary>
    private IKernels CreateKernels()
    {
        string? forced = Environment.GetEnvironmentVariable(KernelCatalog.Variable);
        string device = options.Device;
        string withoutCuda = "";
        int? ordinal = KernelCatalog.CudaDevice(device == "auto" ? (string.IsNullOrEmpty(forced) ? "cuda" : forced) : device);
        if (ordinal is { } number)
        {
            if (KernelCatalog.TryCreateCuda(number, out string description) is { } cuda)
            {
                Note($"Kernels: {cuda.Name} ({description})");
                return cuda;
            }

            if (device != "auto" || !string.IsNullOrEmpty(forced))
            {
                throw new StartupException($"--device {device}: {description}; --device cpu takes {KernelCatalog.Available[0].Name}.");
            }

            withoutCuda = $"; CUDA is not used: {description}";
        }

        string? onProcessor = device == "cpu" && KernelCatalog.CudaDevice(forced ?? "") is not null
            ? KernelCatalog.Available[0].Name : null;
        IKernels kernels = KernelCatalog.Create(onProcessor, options.Threads ?? 0);
        string reason = KernelCatalog.Available.FirstOrDefault(set => set.Name == kernels.Name)?.Reason ?? "";
        string choice = string.IsNullOrEmpty(forced) || onProcessor is not null
            ? "the best of this machine" : $"{KernelCatalog.Variable} asks for it";
        Note($"Kernels: {kernels.Name} ({reason}), {choice}; threads: {options.Threads ?? Environment.ProcessorCount} "
            + $"({(options.Threads is null ? "all cores" : "--threads")}){withoutCuda}");
        return kernels;
    }

    /// <summary>A drafter's path: what was said, else the bundle's if it is there.</summary>
    private static string? Optional(string? said, string? bundled, string flag) => said switch
    {
        NoDrafter => null,
        null => bundled is not null && Path.Exists(bundled) ? bundled : null,
        _ => Resolve(said, flag),
    };

    /// <summary>Where the files are: a path as it is, a model of the hub in the cache that <c>pull</c> fills.</summary>
    private static string Resolve(string said, string flag)
    {
        if (Path.Exists(said))
        {
            return said;
        }

        if (!HubReference.TryParse(said, out HubReference reference))
        {
            throw new StartupException($"{flag}: there is no '{said}'.");
        }

        try
        {
            return new HubCache(HubSettings.From(Environment.GetEnvironmentVariable).CacheFolder).Find(reference)
                ?? throw new StartupException($"{flag}: there is no '{said}', and no such model has been fetched; 'understory pull "
                    + $"{said}' would.");
        }
        catch (Exception e) when (e is HubException or FormatException)
        {
            throw new StartupException($"{flag}: {e.Message}", e);
        }
    }

    private static string Describe(LanguageModel model) =>
        $"{model.Name}, {model.Config.Layers.Count} layers of {model.Config.HiddenSize}, "
        + $"{model.Transformer.WeightBytes / 1e6:F1} MB a pass, context {model.Config.ContextLength}, "
        + $"keys and values in {model.Transformer.CacheType.Name()}, {model.Transformer.CacheBytesPerToken / 1e3:F1} kB a token";

    private void Note(string line) => _report.Add(line);

    /// <summary>
    /// A hash of kernel set, version, type of keys and values, what weights are quantised to, and the model's files; of large ones only
    /// length and evenly spread samples, since reading gigabytes would take longer than the start does.
    /// </summary>
    private static string Fingerprint(string path, IKernels kernels, CacheType cacheType, string? weights)
    {
        const int WholeBytes = 16 << 20;
        const int Samples = 256;
        const int SampleBytes = 4096;
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        string made = $"{kernels.Name} {cacheType.Name()} {typeof(ModelLoading).Assembly.GetName().Version} {weights}";
        hash.AppendData(Encoding.UTF8.GetBytes(made));
        IEnumerable<string> files = File.Exists(path)
            ? Gguf.FilesOf(path)
            : Directory.EnumerateFiles(path).Where(file => Path.GetExtension(file) is ".json" or ".safetensors")
            .Order(StringComparer.Ordinal);
        byte[] buffer = new byte[SampleBytes];
        foreach (string file in files)
        {
            using FileStream stream = File.OpenRead(file);
            hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(file)} {stream.Length}"));
            if (stream.Length <= WholeBytes)
            {
                hash.AppendData(SHA256.HashData(stream));
                continue;
            }

            for (int i = 0; i < Samples; i++)
            {
                stream.Position = (stream.Length - SampleBytes) / (Samples - 1) * i;
                stream.ReadExactly(buffer);
                hash.AppendData(buffer);
            }
        }

        return "fp_" + Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 8));
    }
}
