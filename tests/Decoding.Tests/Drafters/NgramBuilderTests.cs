using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

public sealed class NgramBuilderTests
{
    private const int Vocabulary = 50;
    private const int Samples = 40;

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(64)]
    public void An_interrupted_build_ends_as_an_uninterrupted_one(int saveEvery)
    {
        using var files = new TemporaryFiles();
        var straight = new Source();
        Builder(straight, saveEvery).Run(3, Samples, files["straight.progress"]).Save(files["straight"]);

        var broken = new Source();
        int runs = 0;
        NgramCounts? counts = null;
        while (counts is null)
        {
            broken.FailAt = broken.Taken.Count + 9;
            runs++;
            try
            {
                counts = Builder(broken, saveEvery).Run(3, Samples, files["broken.progress"]);
            }
            catch (IOException)
            {
                // As if the process had been killed: what was saved last is all there is.
                Assert.True(runs < 30 || saveEvery > 8);
                if (saveEvery > 8)
                {
                    broken.FailAt = int.MaxValue;
                    counts = Builder(broken, saveEvery).Run(3, Samples, files["broken.progress"]);
                }
            }
        }

        counts.Save(files["broken"]);
        Assert.True(runs > 1 || saveEvery > 8);
        Assert.Equal(File.ReadAllBytes(files["straight"]), File.ReadAllBytes(files["broken"]));
        Assert.Equal(Enumerable.Range(0, Samples), straight.Taken);
    }

    [Fact]
    public void Cancelling_keeps_every_sample_that_was_counted()
    {
        using var files = new TemporaryFiles();
        using var cancel = new CancellationTokenSource();
        var source = new Source();
        var reports = new Reports(report =>
        {
            if (report.Samples == 5)
            {
                cancel.Cancel();
            }
        });
        Assert.Throws<OperationCanceledException>(() => Builder(source, 100).Run(3, Samples, files["progress"], reports, cancel.Token));
        NgramCounts counts = Builder(source, 100).Run(3, Samples, files["progress"]);
        Assert.Equal(Enumerable.Range(0, Samples), source.Taken);
        Assert.Equal(Builder(new Source(), 100).Run(3, Samples, files["other"]).Tokens, counts.Tokens);
    }

    [Fact]
    public void Progress_tells_samples_tokens_and_what_earlier_runs_did()
    {
        using var files = new TemporaryFiles();
        Builder(new Source(), 4).Run(3, 10, files["progress"]);
        var reports = new Reports(_ => { });
        NgramCounts counts = Builder(new Source(), 4).Run(3, 12, files["progress"], reports);
        Assert.Equal([10, 11, 12], reports.All.Select(r => r.Samples));
        Assert.All(reports.All, r => Assert.Equal(12, r.Total));
        Assert.Equal(counts.Tokens, reports.All[^1].Tokens);
        Assert.Equal(counts.DistinctTrigrams, reports.All[^1].DistinctTrigrams);
    }

    [Fact]
    public void Progress_of_another_build_is_refused()
    {
        using var files = new TemporaryFiles();
        Builder(new Source(), 4).Run(3, 10, files["progress"]);
        Assert.Contains("seed 3, not 4", Refusal(() => Builder(new Source(), 4).Run(4, 10, files["progress"])), StringComparison.Ordinal);
        Assert.Contains("asked for", Refusal(() => Builder(new Source(), 4).Run(3, 9, files["progress"])), StringComparison.Ordinal);
        Assert.Contains("warmer", Refusal(() => Builder(new Source { Description = "warmer" }, 4).Run(3, 10, files["progress"])),
            StringComparison.Ordinal);
        Assert.Contains("vocabulary", Refusal(() => new NgramBuilder(new Source(), Vocabulary, "w").Run(3, 10, files["progress"])),
            StringComparison.Ordinal);
        File.WriteAllBytes(files["progress"], File.ReadAllBytes(files["progress"])[..^20]);
        Refusal(() => Builder(new Source(), 4).Run(3, 10, files["progress"]));

        static string Refusal(Action run) => Assert.Throws<InvalidDataException>(run).Message;
    }

    private static NgramBuilder Builder(Source source, int saveEvery) => new(source, Vocabulary, "v") { SaveEvery = saveEvery };

    private sealed class Source : ISampleSource
    {
        public string Description { get; init; } = "random";

        public List<int> Taken { get; } = [];

        public int FailAt { get; set; } = int.MaxValue;

        public int[] Sample(ulong seed, int index)
        {
            if (Taken.Count >= FailAt)
            {
                throw new IOException("Interrupted.");
            }

            Taken.Add(index);
            var random = new Random((int)(seed * 1000) + index);
            int[] tokens = new int[random.Next(1, 60)];
            for (int i = 0; i < tokens.Length; i++)
            {
                tokens[i] = random.Next(Vocabulary);
            }

            return tokens;
        }
    }

    private sealed class Reports(Action<NgramBuildProgress> then) : IProgress<NgramBuildProgress>
    {
        public List<NgramBuildProgress> All { get; } = [];

        public void Report(NgramBuildProgress value)
        {
            All.Add(value);
            then(value);
        }
    }
}
