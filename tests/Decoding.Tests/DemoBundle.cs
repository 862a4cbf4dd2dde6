using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding.Tests;

/// <summary>The stand-in for the demo, loaded once; each loop that it makes starts with fresh estimates.</summary>
public sealed class DemoBundle : IDisposable
{
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);

    public DemoBundle()
    {
        Target = ModelLoader.Load(Standin.Target, _kernels, new LoadOptions());
        Draft = ModelLoader.Load(Standin.Draft, _kernels, new LoadOptions());
        Ngram = NgramModel.Load(Standin.Ngram);
    }

    public static string Folder => Standin.Folder;

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
}

/// <summary>Tests that decode with the demo share it and run one after the other: each keeps all cores busy.</summary>
[CollectionDefinition(Name)]
public sealed class DemoGroup : ICollectionFixture<DemoBundle>
{
    public const string Name = "demo";
}
