using Understory.Training.Drafting;
using Understory.Training.Optimisation;

namespace Understory.Training.Tests.Drafting;

public sealed class SampleFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static Sample Numbered(int number) => new(
        [number, number + 1, number + 2], [number, 2, 3, 4], [(Half)(-0.5f * number), (Half)(-1), (Half)(-2), (Half)(-3)]);

    [Fact]
    public void Samples_come_back_as_they_were_put_in_and_half_a_sample_is_cut_off()
    {
        string path = _folder["samples"];
        using (var file = new SampleFile(path, length: 2, kept: 2))
        {
            file.Append(Numbered(1));
            file.Append(Numbered(2));
        }

        using (FileStream stream = File.OpenWrite(path))
        {
            stream.SetLength(stream.Length - 3);
        }

        using var again = new SampleFile(path, length: 2, kept: 2);
        Assert.Equal(1, again.Count);
        again.Append(Numbered(7));
        Assert.Equal(2, again.Count);
        foreach ((int place, int number) in new[] { (1, 7), (0, 1) })
        {
            Sample sample = again.Read(place);
            Assert.Equal(Numbered(number).Tokens, sample.Tokens);
            Assert.Equal(Numbered(number).Kept, sample.Kept);
            Assert.Equal(Numbered(number).LogProbs, sample.LogProbs);
        }
    }

    [Fact]
    public void Samples_of_another_size_are_refused()
    {
        new SampleFile(_folder["samples"], length: 2, kept: 2).Dispose();
        TrainingException error = Assert.Throws<TrainingException>(() => new SampleFile(_folder["samples"], length: 4, kept: 2));
        Assert.Contains(_folder["samples"], error.Message);
    }

    [Fact]
    public void Every_sample_is_trained_on_once_before_any_is_again()
    {
        using var file = new SampleFile(_folder["samples"], length: 2, kept: 2);
        for (int number = 0; number < 12; number++)
        {
            file.Append(Numbered(number));
        }

        var batches = new SampleBatches(file, length: 2, kept: 2, seed: 5);
        var phase = new TrainingPhase(100, 2);
        for (int epoch = 0; epoch < 3; epoch++)
        {
            long[] firsts = [.. Enumerable.Range(0, 4).SelectMany(step =>
                batches.Batch(phase, (4 * epoch) + step, batchTokens: 6).Tokens.Where((_, at) => at % 2 == 0))];
            Assert.Equal(Enumerable.Range(0, 12).Select(number => (long)number), firsts.Order());
        }

        TrainingBatch batch = batches.Batch(phase, 3, batchTokens: 6);
        Assert.Equal(new SampleBatches(file, 2, 2, seed: 5).Batch(phase, 3, 6).Tokens, batch.Tokens);
        Assert.Equal(Array.ConvertAll(batch.Tokens, token => token + 1), batch.Next);
        Assert.Equal(-0.5f * batch.Tokens[0], batch.TeacherLogProbs[0]);
    }
}
