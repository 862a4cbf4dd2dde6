using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Tests.Sequences;

/// <summary>Tokens are committed by hand here.</summary>
public sealed class SequenceTests
{
    private const int Eos = 0;

    private static readonly Tokenizer Tokenizer = Tokenizer.Load(Standin.TokenizerFile);

    [Fact]
    public void The_end_of_sequence_token_ends_the_text_and_is_not_in_it()
    {
        Sequence sequence = Create(new() { Prompt = [5], TopLogProbs = 0 });
        string text = Commit(sequence, [.. Encode("return x"), Eos]);
        Assert.Equal("return x", text);
        Assert.Equal(FinishReason.Stop, sequence.FinishReason);
        Assert.Equal(Eos, sequence.GeneratedIds[^1]);
        Assert.Equal(sequence.GeneratedTokens - 1, sequence.LogProbs.Count);
    }

    [Fact]
    public void With_ignore_eos_the_text_goes_on_to_its_limit()
    {
        int[] tokens = [.. Encode("ab"), Eos, .. Encode("cd")];
        Sequence sequence = Create(new() { Prompt = [5], IgnoreEos = true }, tokens.Length);
        Assert.Equal("abcd", Commit(sequence, tokens));
        Assert.Equal(FinishReason.Length, sequence.FinishReason);
        Assert.Equal(tokens, sequence.GeneratedIds.ToArray());
    }

    [Fact]
    public void A_limit_of_no_tokens_is_reached_at_once()
    {
        Sequence sequence = Create(new() { Prompt = [5, 6, 7] }, limit: 0);
        Assert.Equal(FinishReason.Length, sequence.FinishReason);
        Assert.False(sequence.Prefilling);
        Assert.Equal("", sequence.TakeText());
        Assert.Equal(0, sequence.GeneratedTokens);
    }

    [Fact]
    public void Tokens_that_a_request_names_end_the_text_too()
    {
        int end = Encode("!")[0];
        Sequence sequence = Create(new() { Prompt = [5], EndTokens = [end], TopLogProbs = 0 });
        Assert.Equal("return x", Commit(sequence, [.. Encode("return x"), end]));
        Assert.Equal(FinishReason.Stop, sequence.FinishReason);
        Assert.Equal(sequence.GeneratedTokens - 1, sequence.LogProbs.Count);
    }

    [Fact]
    public void What_knows_the_texts_end_takes_the_place_of_stop_strings()
    {
        Sequence sequence = Create(new() { Prompt = [5], Stop = ["never"], TextEnd = () => new StopStrings(["b"]) });
        Assert.Equal("xa", Commit(sequence, [.. Encode("x"), .. Encode("a"), .. Encode("b"), .. Encode("c")]));
        Assert.Equal(FinishReason.Stop, sequence.FinishReason);
        Assert.Equal("b", sequence.StopString);
    }

    [Theory]
    [InlineData("f. wor")]
    [InlineData(" ")]
    [InlineData("h")]
    [InlineData("hello self. world")]
    [InlineData("ld")]
    public void A_stop_string_cuts_the_text_wherever_the_borders_of_tokens_lie(string stop)
    {
        const string Whole = "hello self. world";
        foreach (int[] tokens in new[] { Encode(Whole), [.. Whole.SelectMany(c => Encode(c.ToString()))] })
        {
            Sequence sequence = Create(new() { Prompt = [5], Stop = ["never", stop], TopLogProbs = 0 });
            string text = Commit(sequence, [.. tokens, .. Encode("more")]);
            Assert.Equal(Whole[..Whole.IndexOf(stop, StringComparison.Ordinal)], text);
            Assert.Equal(FinishReason.Stop, sequence.FinishReason);
            Assert.All(sequence.LogProbs, entry => Assert.True(entry.TextOffset < text.Length));
        }
    }

    [Fact]
    public void The_beginning_of_a_stop_string_is_held_back_until_it_is_none()
    {
        Sequence sequence = Create(new() { Prompt = [5], Stop = ["xyz"] }, limit: 5);
        string[] taken = ["a", "", "", "xyw", "x"];
        int at = 0;
        foreach (char c in "axywx")
        {
            sequence.Commit(Assert.Single(Encode(c.ToString())), null);
            Assert.Equal(taken[at++], sequence.TakeText());
        }

        Assert.Equal(FinishReason.Length, sequence.FinishReason);
    }

    [Fact]
    public void Text_never_holds_half_a_character()
    {
        const string Whole = "naïve 日本語 ✓ 🙂 ünï";
        int[] tokens = Encode(Whole);
        Assert.True(tokens.Length > Whole.Length, "Characters of several tokens are what this is about.");
        Sequence sequence = Create(new() { Prompt = [5] }, tokens.Length);
        string text = "";
        foreach (int token in tokens)
        {
            sequence.Commit(token, null);
            string piece = sequence.TakeText();
            Assert.DoesNotContain('\uFFFD', piece);
            Assert.True(piece.Length == 0 || (!char.IsHighSurrogate(piece[^1]) && !char.IsLowSurrogate(piece[0])));
            text += piece;
        }

        Assert.Equal(Whole, text);
        Assert.Equal("", sequence.TakeText());
    }

    [Fact]
    public void A_character_that_the_limit_cuts_is_marked_as_such()
    {
        int[] tokens = Encode("a🙂");
        Sequence sequence = Create(new() { Prompt = [5] }, tokens.Length - 1);
        Assert.Equal("a\uFFFD", Commit(sequence, tokens[..^1]));
    }

    [Fact]
    public void Offsets_of_log_probabilities_count_the_characters_before_each_token()
    {
        int[] tokens = Encode("def add(a, b):\n    return a + b\n");
        Sequence sequence = Create(new() { Prompt = [5], TopLogProbs = 0 }, tokens.Length);
        Commit(sequence, tokens);
        Assert.Equal(tokens, sequence.LogProbs.Select(entry => entry.Token));
        for (int i = 0; i < tokens.Length; i++)
        {
            Assert.Equal(Tokenizer.Decode(tokens.AsSpan(0, i)).Length, sequence.LogProbs[i].TextOffset);
        }
    }

    private static int[] Encode(string text) => Tokenizer.Encode(text, addSpecialTokens: false);

    private static Sequence Create(GenerationRequest request, int limit = 100)
    {
        var context = new TokenContext(request.Prompt, request.Sampling, Tokenizer.VocabularySize, request.Prompt.Length + limit);
        var entry = new CacheEntry { Target = null! };
        return new Sequence(request, context, entry, 0, limit, request.NewTextEnd(), Tokenizer, [Eos]);
    }

    /// <summary>Commits until the sequence ends; the text is taken after every other token.</summary>
    private static string Commit(Sequence sequence, int[] tokens)
    {
        string text = "";
        for (int i = 0; i < tokens.Length && !sequence.Finished; i++)
        {
            sequence.Commit(tokens[i], sequence.Request.TopLogProbs < 0 ? null : new TokenLogProb(tokens[i], -1, [], 0));
            text += i % 2 == 0 ? sequence.TakeText() : "";
        }

        return text + sequence.TakeText();
    }
}
