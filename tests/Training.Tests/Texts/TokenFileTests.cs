using Understory.Models.Tokenizers;
using Understory.Training.Optimisation;
using Understory.Training.Texts;

namespace Understory.Training.Tests.Texts;

public sealed class TokenFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private sealed class Repeating(string name, string text, int count) : ITextSource
    {
        public string Name => name;

        public IEnumerable<string> Texts(int seed) => Enumerable.Repeat(text, count);

        public IEnumerable<string> HeldOut() => [];
    }

    /// <summary>A character a token.</summary>
    private static Tokenizer Bytes { get; } = Tokenizer.FromGguf(new GgufVocabulary(
        "gpt2", null, [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value).ToString()), "<end>"], null,
        [.. Enumerable.Repeat(1, 256), 3], [], null, 256, null, false, false, false));

    [Fact]
    public void Sources_give_about_as_many_tokens_each_and_one_that_ends_begins_again()
    {
        TokenFile file = TokenFile.Collect(
            [new Repeating("short", "ab", 3), new Repeating("long", "0123456789", 1000)], Bytes, 256, 10_000, seed: 1);
        Assert.InRange(file.Tokens.Length, 10_000, 10_020);
        int letters = file.Tokens.Count(token => token is 'a' or 'b');
        Assert.InRange(letters * 1.5, 4900, 5100);
        Assert.All(file.Tokens.Zip(file.Tokens.Skip(1)).Where(pair => pair.First == 'b'), pair => Assert.Equal(256, pair.Second));
    }

    [Fact]
    public void A_source_without_a_text_is_named()
    {
        TrainingException error = Assert.Throws<TrainingException>(
            () => TokenFile.Collect([new Repeating("nothing", "", 0)], Bytes, 256, 10, seed: 1));
        Assert.Contains("nothing", error.Message);
    }

    [Fact]
    public void A_file_comes_back_as_it_was_saved_and_another_one_is_refused()
    {
        var file = new TokenFile([1, 2, 70_000]);
        file.Save(_folder["tokens"]);
        Assert.Equal(file.Tokens, TokenFile.Load(_folder["tokens"]).Tokens);
        File.WriteAllText(_folder["other"], "no tokens");
        Assert.Throws<TrainingException>(() => TokenFile.Load(_folder["other"]));
    }

    [Fact]
    public void Windows_cover_a_stream_once_an_epoch_at_each_length()
    {
        var batches = new TokenBatches(new TokenFile([.. Enumerable.Range(0, 65)]), seed: 1);
        foreach (int length in new[] { 8, 16 })
        {
            var phase = new TrainingPhase(100, length);
            long[] seen = [.. Enumerable.Range(0, 2).SelectMany(step => batches.Batch(phase, step, batchTokens: 32).Tokens)];
            Assert.Equal(Enumerable.Range(0, 64).Select(token => (long)token), seen.Order());
        }

        TrainingBatch batch = batches.Batch(new TrainingPhase(100, 8), 1, 32);
        Assert.Equal(Array.ConvertAll(batch.Tokens, token => token + 1), batch.Next);
    }
}
