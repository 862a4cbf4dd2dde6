using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding.Tests;

/// <summary>The demo bundle, loaded once; each loop that it makes starts with fresh estimates.</summary>
public sealed class DemoBundle : IDisposable
{
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);

    public DemoBundle()
    {
        Target = ModelLoader.Load(Path.Combine(Folder, "target"), _kernels, new LoadOptions());
        Draft = ModelLoader.Load(Path.Combine(Folder, "draft"), _kernels, new LoadOptions());
        Ngram = NgramModel.Load(Path.Combine(Folder, "draft.ngram"));
    }

    public static string Folder { get; } = Find();

    public LanguageModel Target { get; }

    public LanguageModel Draft { get; }

    public NgramModel Ngram { get; }

    public DecodingLoop CreateLoop(DecodingOptions? options = null) =>
        new(Target, Draft, Ngram, options ?? new DecodingOptions { Calibration = TimeSpan.FromMilliseconds(50) });

    public void Dispose()
    {
        Target.Dispose();
        Draft.Dispose();
        _kernels.Dispose();
    }

    /// <summary>Each text of <see cref="Samples"/> as a prompt.</summary>
    public IEnumerable<int[]> Prompts() => Samples.Prompts.Select(text => Target.Tokenizer.Encode(text));

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string demo = Path.Combine(folder.FullName, "models", "demo");
            if (Directory.Exists(demo))
            {
                return demo;
            }
        }

        throw new DirectoryNotFoundException("models/demo is not above the test's folder.");
    }
}

/// <summary>Tests that decode with the demo share it and run one after the other: each keeps all cores busy.</summary>
[CollectionDefinition(Name)]
public sealed class DemoGroup : ICollectionFixture<DemoBundle>
{
    public const string Name = "demo";
}
