using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Hosting;
using Understory.Training.Drafting;
using Understory.Training.Tests.Network;

namespace Understory.Training.Tests.Drafting;

/// <summary>On the models that come with the program.</summary>
public sealed class TargetReaderTests : IDisposable
{
    private const int Length = 24;
    private const int Kept = 8;

    private readonly IKernels _kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
    private readonly LanguageModel _model;

    public TargetReaderTests() => _model = ModelLoader.Load(DemoBundle.Draft, _kernels, new LoadOptions());

    public void Dispose()
    {
        _model.Dispose();
        _kernels.Dispose();
    }

    private Sample[] Written(int group)
    {
        TextScript script = TextScript.Documents(_model);
        return new TargetReader(_model, Length, Kept).Write(group, seed: 3, _ => script, default);
    }

    [Fact]
    public void What_is_kept_of_a_text_is_what_the_model_deems_most_probable()
    {
        Sample sample = new TargetReader(_model, Length, Kept).Score([.. Enumerable.Range(5, Length + 1)]);
        float[] logits = LlamaNetworkTests.Logits(_model.Transformer, sample.Tokens[..Length]);
        int vocabulary = _model.Config.VocabularySize;
        for (int at = 0; at < Length; at++)
        {
            float[] row = logits[(at * vocabulary)..((at + 1) * vocabulary)];
            double sum = Math.Log(row.Sum(value => Math.Exp(value)));
            int[] best = [.. Enumerable.Range(0, vocabulary).OrderByDescending(id => row[id]).ThenBy(id => id).Take(Kept)];
            Assert.Equal(best, sample.Kept[(at * Kept)..((at + 1) * Kept)]);
            Assert.All(best.Select((id, rank) => (row[id] - sum, (double)sample.LogProbs[(at * Kept) + rank])),
                pair => Assert.Equal(pair.Item1, pair.Item2, 0.01));
        }
    }

    [Fact]
    public void Texts_that_are_written_side_by_side_are_thought_of_as_each_by_itself()
    {
        Sample[] samples = Written(1);
        Assert.Equal(TargetReader.SideBySide, samples.Length);
        Assert.Equal(TargetReader.SideBySide, samples.Select(sample => string.Join(' ', sample.Tokens)).Distinct().Count());
        Assert.All(samples, sample =>
        {
            Sample alone = new TargetReader(_model, Length, Kept).Score(sample.Tokens);
            Assert.Equal(alone.Kept, sample.Kept);
            Assert.Equal(alone.LogProbs, sample.LogProbs);
        });
    }

    [Fact]
    public void A_sample_depends_on_its_number_alone()
    {
        Assert.Equal(Written(2)[5].Tokens, Written(2)[5].Tokens);
        Assert.NotEqual(Written(2)[5].Tokens, Written(3)[5].Tokens);
    }

    [Fact]
    public void A_text_begins_as_its_script_says_and_every_end_is_followed_by_the_next_opening()
    {
        int end = _model.Config.EosTokenIds[0];
        var script = new TextScript([[end, 7, 8], [end, 9]]);
        Sample[] samples = [.. Enumerable.Range(0, 40).SelectMany(group =>
            new TargetReader(_model, 200, Kept).Write(group, seed: 3, _ => script, default)).Take(160)];
        Assert.All(samples, sample => Assert.Equal([end, 7, 8], sample.Tokens[..3]));
        int ends = 0;
        foreach (Sample sample in samples)
        {
            int opening = 0;
            for (int at = 3; at + 2 < sample.Tokens.Length; at++)
            {
                if (sample.Tokens[at] == end)
                {
                    int[] expected = script.Openings[++opening % 2][1..];
                    Assert.Equal(expected, sample.Tokens[(at + 1)..(at + 1 + Math.Min(expected.Length, 2))]);
                    ends++;
                }
            }
        }

        Assert.True(ends > 0, "no text came to an end");
    }
}
