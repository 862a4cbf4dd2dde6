using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public sealed class DraftSamplerTests(DemoBundle demo) : IDisposable
{
    private const int Length = 40;
    private const int Samples = 6;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("understory-tests-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void A_sample_depends_on_seed_and_index_alone()
    {
        using DraftSampler one = Create();
        using DraftSampler other = Create();
        int[] sample = one.Sample(7, 3);
        Assert.Equal(Length, sample.Length);
        Assert.Equal(0, sample[0]);
        Assert.All(sample, token => Assert.InRange(token, 0, demo.Draft.Config.VocabularySize - 1));
        Assert.NotEqual(sample, one.Sample(7, 4));
        Assert.NotEqual(sample, one.Sample(8, 3));
        Assert.Equal(sample, one.Sample(7, 3));
        Assert.Equal(sample, other.Sample(7, 3));
    }

    [Fact]
    public void A_shorter_sample_is_the_beginning_of_a_longer_one()
    {
        using DraftSampler longer = Create();
        using var shorter = new DraftSampler(demo.Draft, 0, 10, 1.5f);
        Assert.Equal(longer.Sample(7, 0)[..10], shorter.Sample(7, 0));
        Assert.NotEqual(longer.Description, shorter.Description);
    }

    [Fact]
    public void Temperature_spreads_the_samples()
    {
        using DraftSampler hot = Create();
        using var cold = new DraftSampler(demo.Draft, 0, Length, 0.2f);
        int Distinct(DraftSampler sampler) => Enumerable.Range(0, Samples).SelectMany(index => sampler.Sample(1, index)).Distinct().Count();
        Assert.True(Distinct(hot) > Distinct(cold));
    }

    [Fact]
    public void An_interrupted_model_of_the_draft_becomes_the_same_file_as_an_uninterrupted_one()
    {
        NgramModel.Build(Count("whole", cancelAt: -1), new NgramBuildOptions()).Save(PathOf("whole.ngram"));
        Assert.Throws<OperationCanceledException>(() => Count("broken", cancelAt: 2));
        Assert.Throws<OperationCanceledException>(() => Count("broken", cancelAt: 5));
        NgramCounts counts = Count("broken", cancelAt: -1);
        NgramModel.Build(counts, new NgramBuildOptions()).Save(PathOf("broken.ngram"));
        Assert.Equal(Samples * Length, counts.Tokens);
        Assert.Equal(File.ReadAllBytes(PathOf("whole.ngram")), File.ReadAllBytes(PathOf("broken.ngram")));
    }

    [Fact]
    public void A_loop_takes_the_file_and_decodes_the_same_tokens()
    {
        NgramModel.Build(Count("own", cancelAt: -1), new NgramBuildOptions()).Save(PathOf("own.ngram"));
        using var loop = new DecodingLoop(demo.Target, demo.Draft, NgramModel.Load(PathOf("own.ngram")), new DecodingOptions());
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), new() { Seed = 2 });
        int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
        Assert.Equal(plain, loop.Decode(request with { Speculation = SpeculationMode.Staged }));
    }

    private DraftSampler Create() => new(demo.Draft, 0, Length, 1.5f);

    private string PathOf(string name) => Path.Combine(_folder.FullName, name);

    private NgramCounts Count(string name, int cancelAt)
    {
        using DraftSampler sampler = Create();
        using var cancel = new CancellationTokenSource();
        var builder = new NgramBuilder(sampler, demo.Draft.Config.VocabularySize, demo.Draft.Tokenizer.Fingerprint);
        return builder.Run(9, Samples, PathOf(name + ".progress"), new Watch(report =>
        {
            if (report.Samples == cancelAt)
            {
                cancel.Cancel();
            }
        }), cancel.Token);
    }

    /// <summary>Reports at once, on the same thread.</summary>
    private sealed class Watch(Action<NgramBuildProgress> action) : IProgress<NgramBuildProgress>
    {
        public void Report(NgramBuildProgress value) => action(value);
    }
}
