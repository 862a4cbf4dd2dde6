using System.Diagnostics;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
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
    /// <summary>Keeps what passes were found to cost for the next start; null: it is not to be kept.</summary>
    public Action<CostCurves>? Keep { get; init; }

    public void Dispose()
    {
        if (Loop.Costs is { } costs)
        {
            Keep?.Invoke(costs);
        }

        Loop.Dispose();
        Draft?.Dispose();
        Target.Dispose();
        Kernels.Dispose();
    }
}

/// <summary>What a model is, found out without loading its weights.</summary>
public sealed record ModelDescription(string Path, ModelSurvey Survey, ChatRenderer Chat);

/// <summary>From options to a model that decodes. Every failure is a <see cref="StartupException"/> whose message is one line.</summary>
/// <param name="costs">Where the costs of passes are kept between starts; null: nowhere.</param>
public sealed class ModelLoading(ServerOptions options, CostFile? costs = null)
{
    /// <summary>The kernels of a CUDA device; null, and why, where it cannot be used.</summary>
    internal delegate IKernels? CudaFactory(int device, out string description);

    private const string NoDrafter = "none";

    /// <summary>The target's own weights in four bits are the draft.</summary>
    private const string Itself = "self";

    private readonly List<string> _report = [];

    /// <summary>What was chosen, and why: one line each, complete after <see cref="Load"/>.</summary>
    public IReadOnlyList<string> Report => _report;

    internal CudaFactory CreateCuda { get; init; } = KernelCatalog.TryCreateCuda;

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

    /// <summary>What a model's files say of it.</summary>
    /// <param name="said">A path, or a model of the hub that was fetched.</param>
    /// <exception cref="StartupException">It could not be served; the message is the first reason.</exception>
    public ModelDescription Describe(string said)
    {
        string path = Path.GetFullPath(Resolve(said, "info"));
        try
        {
            using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
            ModelSurvey survey = ModelLoader.Survey(
                path, kernels, new LoadOptions(options.Context, options.Kv, Weights: options.Weights, Head: options.Draft is null));
            return new ModelDescription(path, survey, ReadChat(survey.Tokenizer, path));
        }
        catch (Exception e) when (e is ModelLoadException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            throw new StartupException(e.Message, e);
        }
    }

    private LoadedModel LoadParts(Action<string> stage)
    {
        bool demo = options.Model is null;
        string targetPath = options.Model is { } said ? Resolve(said, options.SaidBy(OptionCatalog.Model)) : Bundled();
        bool self = options.Draft == Itself;
        string? draftPath = self ? targetPath
            : Optional(options.Draft, demo ? DemoBundle.Draft : TrainedDraft.ModelOf(targetPath), options.SaidBy(OptionCatalog.Draft));
        string? ngramPath =
            Optional(options.Ngram, demo ? DemoBundle.Ngram : TrainedDraft.NgramOf(targetPath), options.SaidBy(OptionCatalog.Ngram));

        stage("choosing kernels");
        IKernels kernels = CreateKernels(draftPath is null ? [targetPath] : [targetPath, draftPath]);
        if (options.Weights is { } weights)
        {
            Note($"Weights: {weights.Name}, quantised while they are loaded, where they have 16 or 32 bits "
                + $"({options.SaidBy(OptionCatalog.Weights)})");
        }

        // Whoever names no draft, and none comes with the program, drafts by what the model's own files hold.
        bool own = draftPath is null && options.Draft is null;
        LanguageModel target = ReadModel("the target model", targetPath, kernels, options.Context, stage, own);
        Note($"Target: {Describe(target)} from {targetPath}");
        LanguageModel? draft = null;
        if (draftPath is not null && !self && Eagle3.IsAt(draftPath))
        {
            stage("reading the draft head");
            target = WithHead(target, draftPath, kernels);
        }
        else if (self)
        {
            draft = CopyInFewBits(target, targetPath, kernels, stage);
        }
        else if (draftPath is not null)
        {
            draft = ReadModel("the draft model", draftPath, kernels, null, stage);
            Note($"Draft: {Describe(draft)} from {draftPath}");
        }

        if (target.Head is { } head)
        {
            Note($"Draft head: {Describe(head)} from {draftPath ?? "the model's own files (--draft none leaves it out)"}");
        }

        NgramModel? ngram = null;
        if (ngramPath is not null)
        {
            stage("reading the n-gram table");
            ngram = NgramModel.Load(ngramPath);
            Note($"N-gram: {ngramPath}");
        }

        stage("measuring the cost of passes");
        string fingerprint = ModelFingerprint.Of(targetPath, kernels, target.Transformer.CacheType, options.Weights?.Name);
        string drafts = costs is null ? ""
            : self ? ModelFingerprint.Of(targetPath, kernels, target.Transformer.CacheType, Itself)
            : draftPath is not null
                ? ModelFingerprint.Of(draftPath, kernels, (draft ?? target).Transformer.CacheType, options.Weights?.Name)
            : target.Head is not null ? "head" : "";
        string key = $"{fingerprint} {drafts} {options.Threads ?? Environment.ProcessorCount} {options.Device}";
        var loop = new DecodingLoop(target, draft, ngram, new DecodingOptions
        {
            PrefixCacheBytes = (long)options.PrefixCacheMegabytes << 20,
            DraftWindow = options.DraftWindow,
            KnownCosts = costs?.Find(key),
        });
        NoteDraft(loop);
        stage("warming up");
        loop.WarmUp(TimeSpan.FromMilliseconds(400));
        SpeculationMode[] modes = [.. Enum.GetValues<SpeculationMode>().Where(loop.Supports)];
        if (!modes.Contains(options.Speculation))
        {
            throw new StartupException($"{options.SaidBy(OptionCatalog.Speculation)} {options.Speculation.ToString().ToLowerInvariant()} "
                + $"needs a drafter that was not given: see {OptionCatalog.Draft.Flag} and {OptionCatalog.Ngram.Flag}.");
        }

        return new LoadedModel(Serve(target, fingerprint, kernels, modes, loop, demo), loop, target, draft, ngram, kernels)
        {
            Keep = known => costs?.Keep(key, known),
        };
    }

    private void NoteDraft(DecodingLoop loop)
    {
        if (loop.DraftVocabulary is { } own)
        {
            Note($"Draft: {own}");
        }

        if (options.DraftWindow > 0)
        {
            Note($"Draft: attends to the first {DraftWindow.Sinks} and the last {options.DraftWindow} to "
                + $"{options.DraftWindow + DraftWindow.Slack} tokens, at their true positions ({OptionCatalog.DraftWindow.Flag})");
        }
    }

    private LanguageModel WithHead(LanguageModel target, string path, IKernels kernels)
    {
        try
        {
            return target with { Head = ModelLoader.LoadHead(path, target, kernels, new LoadOptions(Weights: options.Weights)) };
        }
        catch (ModelLoadException error)
        {
            throw new StartupException($"{options.SaidBy(OptionCatalog.Draft)}: {error.Message}", error);
        }
    }

    /// <param name="head">The draft head in its files is read too.</param>
    /// <param name="copied">A copy of it is wanted; null: the model itself is.</param>
    private LanguageModel ReadModel(
        string what, string path, IKernels kernels, int? context, Action<string> stage, bool head = false, Transformer? copied = null)
    {
        stage($"reading {what}");
        var progress = new LoadingProgress(what, TimeProvider.System, line =>
        {
            stage(line);
            Console.Error.WriteLine(line);
        });
        var load = new LoadOptions(
            context, options.Kv, Progress: (_, done) => progress.Report(done), Weights: options.Weights, Head: head)
        {
            CopyOf = copied,
        };
        LanguageModel model = ModelLoader.Load(path, kernels, load);
        if (model.Transformer.MappedBytes is > 0 and var mapped)
        {
            string line = $"Memory: {mapped / 1e9:F1} GB of experts stay in their file, since not all weights fit into memory; passes that "
                + "read them take as long as the disk does";
            Note(line);
            Console.Error.WriteLine(line);
        }

        return model with { Name = HubCache.RepositoryOf(path) ?? model.Name };
    }

    private LanguageModel CopyInFewBits(LanguageModel target, string path, IKernels kernels, Action<string> stage)
    {
        long start = Stopwatch.GetTimestamp();
        LanguageModel copy = ReadModel("the target's copy in 4 bits", path, kernels, options.Context, stage, copied: target.Transformer);
        Note($"Draft: the target's own weights in 4 bits, embedding and head too, over the target's keys and values; a pass reads "
            + $"{copy.Transformer.WeightBytes / 1e6:F1} MB instead of {target.Transformer.WeightBytes / 1e6:F1}; they take "
            + $"{copy.Transformer.HeldBytes / 1e6:F1} MB of memory, and took {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s to make");
        return copy with { Name = $"{target.Name} in 4 bits" };
    }

    private ServedModel Serve(
        LanguageModel target, string fingerprint, IKernels kernels, SpeculationMode[] modes, DecodingLoop loop, bool demo)
    {
        string id = demo ? DemoBundle.Name : target.Name;
        return new ServedModel(
            id,
            [.. options.Aliases.Where(alias => alias != id).Distinct()],
            target.Tokenizer,
            ReadChat(target.Tokenizer, target.Path),
            target.Defaults,
            target.Config.VocabularySize,
            loop.ContextLength,
            target.Tokenizer.BosId ?? target.Config.BosTokenId ?? target.Tokenizer.EosId,
            fingerprint,
            DateTimeOffset.UtcNow,
            modes.ToHashSet())
        {
            Kernels = kernels.Name,
            HiddenSize = target.Config.HiddenSize,
            Parameters = target.Transformer.Parameters,
            Demo = demo,
            IsHybrid = target.Config.IsHybrid,
        };
    }

    /// <summary>A template beyond our Jinja must not keep the model from completing texts: chats are refused with the reason.</summary>
    private ChatRenderer ReadChat(Tokenizer tokenizer, string path)
    {
        try
        {
            return new ChatRenderer(tokenizer, ReadTemplate(path), syntax: options.ToolSyntax);
        }
        catch (InvalidDataException e)
        {
            Note($"Chat: the model's template cannot be used, so chats are refused: {e.Message}");
            return new ChatRenderer(tokenizer, null, e.Message);
        }
    }

    /// <summary>The chat template of a folder or a GGUF file; null: it has none.</summary>
    internal static ChatTemplate? ReadTemplate(string path)
    {
        if (Directory.Exists(path))
        {
            return ChatTemplate.FromFolder(path);
        }

        using Gguf file = Gguf.Open(path);
        const string Key = "tokenizer.chat_template";
        const string ForTools = Key + ".tool_use";
        return !file.Metadata.Contains(Key) ? null : ChatTemplate.Parse(file.Metadata.Get<string>(Key),
            forTools: file.Metadata.Contains(ForTools) ? file.Metadata.Get<string>(ForTools) : null);
    }

    /// <summary>
    /// A CUDA device where one is asked for, or where the choice is free and one can be used and has all that the models need; else the
    /// processor.
    /// </summary>
    /// <param name="models">Where they are.</param>
    private IKernels CreateKernels(string[] models)
    {
        string? forced = Environment.GetEnvironmentVariable(KernelCatalog.Variable);
        string device = options.Device;
        string withoutCuda = "";
        int? ordinal = KernelCatalog.CudaDevice(device == "auto" ? (string.IsNullOrEmpty(forced) ? "cuda" : forced) : device);
        if (ordinal is { } number)
        {
            bool free = device == "auto" && string.IsNullOrEmpty(forced);
            if (CreateCuda(number, out string description) is { } cuda)
            {
                KernelFeatures needed = free ? models.Aggregate(KernelFeatures.None, (all, path) => all | ModelLoader.Needs(path)) : 0;
                KernelFeatures lacking = needed & cuda.Missing;
                if (lacking == KernelFeatures.None)
                {
                    Note($"Kernels: {cuda.Name} ({description})");
                    return cuda;
                }

                cuda.Dispose();
                description = $"its kernels lack {lacking}, which the model needs; --device cuda would refuse it";
            }

            if (!free)
            {
                throw new StartupException($"{options.SaidBy(OptionCatalog.Device)} {device}: {description}; "
                    + $"{OptionCatalog.Device.Flag} cpu takes {KernelCatalog.Available[0].Name}.");
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
            + $"({(options.Threads is null ? OptionCatalog.Threads.Silence : options.SaidBy(OptionCatalog.Threads))}){withoutCuda}");
        return kernels;
    }

    /// <summary>A drafter's path: what was said, else the bundle's if it is there.</summary>
    private static string? Optional(string? said, string? bundled, string flag) => said switch
    {
        NoDrafter => null,
        null => bundled is not null && Path.Exists(bundled) ? bundled : null,
        _ => Resolve(said, flag),
    };

    private static string Bundled() => Path.Exists(DemoBundle.Target) ? DemoBundle.Target : throw new StartupException(
        $"The model that comes with the program is not at {DemoBundle.Target}; put it back, or name another one by "
            + $"{OptionCatalog.Model.Flag}.");

    /// <summary>Where the files are: a path as it is, a model of the hub in the cache that <c>pull</c> fills.</summary>
    /// <param name="flag">Who said so.</param>
    private static string Resolve(string said, string flag)
    {
        RequireContents(said, flag);
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
                ?? throw new StartupException($"{flag}: there is no '{said}', and no such model has been fetched; '{Invocation.Name} "
                    + $"pull {said}' would.");
        }
        catch (Exception e) when (e is HubException or FormatException)
        {
            throw new StartupException($"{flag}: {e.Message}", e);
        }
    }

    /// <summary>A snapshot of the hub's cache is links into the folder around it: alone it is empty.</summary>
    private static void RequireContents(string path, string flag)
    {
        IEnumerable<string> files = Directory.Exists(path) ? Directory.EnumerateFileSystemEntries(path) : [path];
        FileInfo? dangling = files.Select(file => new FileInfo(file)).FirstOrDefault(file =>
            file.LinkTarget is not null && !Path.Exists(file.ResolveLinkTarget(returnFinalTarget: true)!.FullName));
        if (dangling is not null)
        {
            throw new StartupException($"{flag}: {dangling.FullName} is a link to {dangling.LinkTarget}, which is not there. A snapshot of "
                + "the hub's cache only points to its contents: mount or copy all of models--OWNER--NAME, or better the cache itself as "
                + "$HF_HOME/hub, and name the model as OWNER/NAME.");
        }
    }

    private static string Describe(LanguageModel model) =>
        $"{model.Name}, {model.Config.Layers.Count} layers of {model.Config.HiddenSize}, "
        + $"{model.Transformer.WeightBytes / 1e6:F1} MB a pass, context {model.Config.ContextLength}, "
        + $"keys and values in {model.Transformer.CacheType.Name()}, {model.Transformer.CacheBytesPerToken / 1e3:F1} kB a token";

    private static string Describe(DraftHead head) =>
        $"{head.Plan}, {head.Network.WeightBytes / 1e6:F1} MB a pass, {head.Network.CacheBytesPerToken / 1e3:F1} kB a token"
        + (head.Network.Config.LogitsSize < head.Network.Config.VocabularySize
            ? $", proposes {head.Network.Config.LogitsSize} of {head.Network.Config.VocabularySize} tokens" : "");

    private void Note(string line) => _report.Add(line);
}
