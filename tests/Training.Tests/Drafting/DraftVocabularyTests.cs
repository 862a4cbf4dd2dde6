using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Verbs.Bench;
using Understory.Training.Drafting;
using Understory.Training.Optimisation;

namespace Understory.Training.Tests.Drafting;

public sealed class DraftVocabularyTests : IDisposable
{
    private const int Size = 270;

    private readonly TinyTarget _file = new(folder: false);
    private readonly TinyTarget _folder = new(folder: true);
    private readonly int[] _frequent = [.. "abcdefghi".Select(letter => TinyTarget.Pair(letter, 'j'))];
    private readonly int _rare = TinyTarget.Pair('a', 'a');

    public void Dispose()
    {
        _file.Dispose();
        _folder.Dispose();
    }

    private DraftVocabulary Trimmed(TinyTarget target) =>
        new(target.Model, Size, _frequent.SelectMany(token => Enumerable.Repeat(token, 5)).Append(_rare));

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Frequent_tokens_are_kept_and_others_are_written_with_their_bytes(bool folder)
    {
        DraftVocabulary vocabulary = Trimmed(folder ? _folder : _file);
        Assert.Equal(Size, vocabulary.Tokenizer.Tokenizer.VocabularySize);
        Assert.Equal([Size - 1], vocabulary.Tokenizer.EndIds);
        Assert.All(_frequent, token =>
        {
            int own = Assert.Single(vocabulary.Map.DraftOf(token).ToArray());
            Assert.Equal([token], vocabulary.Map.TargetOf(own).ToArray());
        });
        Assert.Single(vocabulary.Map.DraftOf(TinyTarget.End).ToArray());
        int left = TinyTarget.Pair('b', 'b');
        Assert.Equal(["b", "b"], vocabulary.Map.DraftOf(left).ToArray().Select(own =>
            System.Text.Encoding.UTF8.GetString(vocabulary.Map.DraftBytes(own))));
        // Merges that make nothing any more are gone.
        int merges = folder ? JsonNode.Parse(vocabulary.Tokenizer.Json)!["model"]!["merges"]!.AsArray().Count
            : ((string[])vocabulary.Tokenizer.Keys!["tokenizer.ggml.merges"]).Length;
        Assert.InRange(merges, 9, 19);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_draft_of_these_tokens_drafts_for_the_target_and_the_text_stays_the_same(bool folder)
    {
        TinyTarget target = folder ? _folder : _file;
        string path = target.Write("draft", Trimmed(target).Tokenizer, Size);
        using LanguageModel draft = target.Load(path);
        using var loop = new DecodingLoop(target.Model, draft, ngram: null, new DecodingOptions { PrefixCacheBytes = 0 });
        var runner = new BenchRunner(loop, null, 1, 1, new BenchSettings { MaxTokens = 24, Repeats = 1 });
        runner.Run([_frequent[0], TinyTarget.Pair('b', 'b'), _frequent[1]]);
        Assert.True(runner.Equal);
        Assert.Contains(runner.Modes, mode => mode.Name == "staged");
    }

    [Fact]
    public void A_sample_is_taught_in_the_draft_s_tokens()
    {
        using var folder = new TemporaryFolder();
        using var file = new SampleFile(folder["samples"], length: 3, kept: 2);
        DraftVocabulary vocabulary = Trimmed(_file);
        int Own(int token) => vocabulary.Map.DraftOf(token)[0];
        int left = TinyTarget.Pair('b', 'b');
        file.Append(new Sample([_frequent[0], left, _frequent[1], _frequent[2]],
            [left, _frequent[3], _frequent[1], _frequent[4], _frequent[2], left],
            [(Half)(-0.5), (Half)(-1), (Half)(-0.25), (Half)(-2), (Half)(-0.125), (Half)(-3)]));
        TrainingBatch batch = new SampleBatches(file, length: 3, kept: 2, seed: 1, vocabulary.Map).Batch([0]);
        int letter = Own('b');
        Assert.Equal([Own(_frequent[0]), letter, letter], batch.Tokens.Select(token => (int)token));
        Assert.Equal([letter, letter, Own(_frequent[1])], batch.Next.Select(token => (int)token));
        // Behind the first token the target's opinion, by first pieces; within the second one the only way on; behind it opinion again.
        Assert.Equal([letter, Own(_frequent[3]), letter, letter, Own(_frequent[1]), Own(_frequent[4])],
            batch.TeacherTokens.Select(token => (int)token));
        Assert.Equal([-0.5f, -1, 0, -1000, -0.25f, -2], batch.TeacherLogProbs);
    }

    [Fact]
    public void A_small_vocabulary_is_left_whole() => Assert.Null(DraftVocabulary.SizeFor(_file.Model));
}
