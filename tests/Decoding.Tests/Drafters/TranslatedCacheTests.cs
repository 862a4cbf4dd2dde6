using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public sealed class TranslatedCacheTests : IDisposable
{
    private readonly DemoBundle _demo;
    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly OtherVocabulary _files = OtherVocabulary.Lacking("draft", 30);
    private readonly LanguageModel _draft;
    private readonly VocabularyMap _map;

    public TranslatedCacheTests(DemoBundle demo)
    {
        _demo = demo;
        _draft = _files.Load(_kernels);
        _map = new VocabularyMap((demo.Target.Tokenizer, demo.Target.Config), (_draft.Tokenizer, _draft.Config));
    }

    [Fact]
    public void Tokens_without_a_twin_are_spelled_and_the_text_stays_the_same_bytes()
    {
        Assert.InRange(_map.Share, 0.65, 0.8);
        foreach (int[] prompt in _demo.Prompts().Append([.. Enumerable.Range(1, 4095)]))
        {
            using TranslatedCache cache = New();
            Assert.Equal(Bytes(prompt), Bytes(cache, prompt));
        }
    }

    [Fact]
    public void Half_a_character_is_passed_on_byte_by_byte()
    {
        int[] tokens = _demo.Target.Tokenizer.Encode("naïve — 日本語 🙂🙂 größer");
        for (int length = 1; length <= tokens.Length; length++)
        {
            using TranslatedCache cache = New();
            Assert.Equal(Bytes(tokens.AsSpan(0, length)), Bytes(cache, tokens.AsSpan(0, length)));
        }
    }

    [Fact]
    public void A_text_read_piece_by_piece_or_gone_back_in_is_read_as_at_once()
    {
        int[] text = [.. _demo.Prompts().SelectMany(prompt => prompt).Take(400)];
        using TranslatedCache whole = New();
        byte[] expected = Bytes(whole, text);
        using TranslatedCache pieces = New();
        var random = new Random(3);
        for (int length = 0; length < text.Length;)
        {
            length = Math.Min(text.Length, length + random.Next(9));
            pieces.Translate(text.AsSpan(0, length));
            int back = Math.Max(0, length - random.Next(12));
            pieces.Truncate(back);
            Assert.Equal(Bytes(text.AsSpan(0, length)), Bytes(pieces, text.AsSpan(0, length)));
        }

        Assert.Equal(expected, Bytes(pieces, text));
    }

    [Fact]
    public void What_the_draft_would_have_written_as_one_token_becomes_one()
    {
        // The other way round: the target lacks tokens that the draft has.
        var map = new VocabularyMap((_draft.Tokenizer, _draft.Config), (_demo.Draft.Tokenizer, _demo.Draft.Config));
        using var cache = new TranslatedCache(_demo.Draft.Transformer.CreateCache(512, 16), default, map, 512);
        const string Text = "def read_config(path):\n    return open(path).read().splitlines()\n";
        int[] own = _demo.Draft.Tokenizer.Encode(Text);
        int[] given = _draft.Tokenizer.Encode(Text);
        Assert.True(given.Length > own.Length);
        Assert.InRange(cache.Translate(given), own.Length, (own.Length + given.Length) / 2);
    }

    public void Dispose()
    {
        _draft.Dispose();
        _kernels.Dispose();
        _files.Dispose();
    }

    private TranslatedCache New() => new(_draft.Transformer.CreateCache(64, 16), default, _map, 64);

    private byte[] Bytes(ReadOnlySpan<int> tokens) =>
        [.. tokens.ToArray().SelectMany(token => _demo.Target.Tokenizer.TokenBytes(token).ToArray())];

    private byte[] Bytes(TranslatedCache cache, ReadOnlySpan<int> tokens)
    {
        cache.Translate(tokens);
        return [.. cache.Tokens.ToArray().SelectMany(token => _draft.Tokenizer.TokenBytes(token).ToArray())];
    }
}
