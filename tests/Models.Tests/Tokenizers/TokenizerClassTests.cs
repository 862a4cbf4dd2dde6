using System.Buffers;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.ML.Tokenizers;
using Tokenizer = Understory.Models.Tokenizers.Tokenizer;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>Our tokenizer seen as the base class that others know: ids, counts, offsets, and where to cut a text that must fit.</summary>
public class TokenizerClassTests
{
    public static TheoryData<string> Names { get; } = ["byte-level", "sentencepiece"];

    [Theory]
    [MemberData(nameof(Names))]
    public void Ids_and_counts_are_those_of_the_engine(string name)
    {
        Tokenizer ours = TokenizerVectors.Fixture(name);
        Prop.ForAll(Texts.Any(), text =>
        {
            Microsoft.ML.Tokenizers.Tokenizer tokenizer = ours;
            int[] ids = ours.Encode(text);
            return tokenizer.EncodeToIds(text).SequenceEqual(ids)
                && tokenizer.CountTokens(text) == ids.Length
                && tokenizer.EncodeToTokens(text, out _).Select(token => token.Id).SequenceEqual(ids)
                && ours.Bare.EncodeToIds(text).SequenceEqual(ours.Encode(text, addSpecialTokens: false))
                && tokenizer.Decode(ids) == ours.Decode(ids);
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_long_text_is_encoded_in_windows_as_it_would_be_whole(string name)
    {
        Tokenizer tokenizer = TokenizerVectors.Fixture(name);
        var random = new Random(7);
        string[] parts = ["tree ", "The", " they're", "\n\n", "   ", "1234", "\u00E9\u0301", "<|turn|>", "x", ".\r\n", "\U0001F600", "\t"];
        for (int round = 0; round < 6; round++)
        {
            // Each part is encoded alone where an added token parts the text; between them lies more than one window.
            string text = string.Concat(Enumerable.Range(0, 40_000).Select(_ => parts[random.Next(parts.Length)]))
                + new string(round % 2 == 0 ? ' ' : 'a', 70_000);
            string[] between = text.Split("<|turn|>");
            int[] ids = tokenizer.Bare.Encode(text);
            Assert.Equal(ids.Length, tokenizer.Bare.CountTokens(text));
            Assert.Equal(ids, tokenizer.Bare.EncodeToTokens(text, out _).Select(token => token.Id));
            Assert.InRange(tokenizer.Encode(text, most: 1000).Length, 1001, ids.Length);
            Assert.Equal(ids.Take(1000), tokenizer.Bare.Encode(text, most: 1000).Take(1000));
            if (name == "byte-level" && round == 0)
            {
                Assert.Equal(text.Normalize(NormalizationForm.FormC), tokenizer.Bare.Decode(ids).Normalize(NormalizationForm.FormC));
            }

            Assert.True(between.Length > 1);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Offsets_cover_the_text_in_order_and_hold_what_each_token_writes(string name)
    {
        Tokenizer tokenizer = TokenizerVectors.Fixture(name).Bare;
        Prop.ForAll(Texts.WellFormed(), text =>
        {
            IReadOnlyList<EncodedToken> tokens = tokenizer.EncodeToTokens(text, out string? normalized);
            string written = normalized ?? text;
            int end = 0;
            foreach (EncodedToken token in tokens)
            {
                // A token that is part of a character has all of it, as the part before it has.
                Assert.InRange(token.Offset.Start.Value, 0, end);
                Assert.True(token.Offset.End.Value >= end);
                end = token.Offset.End.Value;
            }

            return end == written.Length || tokens.Count == 0;
        }).QuickCheckThrowOnFailure();
    }

    [Theory]
    [InlineData("byte-level", "tree  The x<|turn|> \U0001F600", null)]
    [InlineData("sentencepiece", "tree The", "\u2581tree\u2581The")]
    public void Offsets_lie_in_the_text_as_it_is_cut_into_words(string name, string text, string? expected)
    {
        Tokenizer tokenizer = TokenizerVectors.Fixture(name);
        IReadOnlyList<EncodedToken> tokens = tokenizer.Bare.EncodeToTokens(text, out string? normalized);
        Assert.Equal(expected, normalized);
        string written = normalized ?? text;
        foreach (EncodedToken token in tokens)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(written[token.Offset].Replace('\u2581', ' '));
            // Equal, but where the token is part of a character.
            Assert.True(bytes.AsSpan().IndexOf(tokenizer.TokenBytes(token.Id)) >= 0, $"{token.Value} at {token.Offset}");
        }

        // The smiley is in as many tokens as have its place.
        Assert.Equal(name == "byte-level", tokens.Count(token => written[token.Offset] == "\U0001F600") > 1);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_cut_that_fits_keeps_the_first_tokens_or_the_last_and_parts_no_character(string name)
    {
        Tokenizer tokenizer = TokenizerVectors.Fixture(name).Bare;
        Prop.ForAll(Texts.WellFormed(), Gen.Choose(0, 12).ToArbitrary(), (text, most) =>
        {
            int[] all = tokenizer.Encode(text);
            int end = tokenizer.GetIndexByTokenCount(text, Math.Max(1, most), out string? normalized, out int kept);
            string written = normalized ?? text;
            Assert.InRange(kept, 0, Math.Max(1, most));
            Assert.Equal(kept == all.Length, end == written.Length || all.Length == 0);
            Assert.False(end > 0 && end < written.Length && char.IsLowSurrogate(written[end]));
            IReadOnlyList<int> ids = tokenizer.EncodeToIds(text, Math.Max(1, most), out _, out int consumed);
            Assert.Equal(end, consumed);
            Assert.Equal(all[..kept], ids);

            int start = tokenizer.GetIndexByTokenCountFromEnd(text, Math.Max(1, most), out _, out int last);
            Assert.InRange(last, 0, Math.Max(1, most));
            Assert.Equal(last == all.Length, start == 0 || all.Length == 0);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Decoding_into_too_small_a_place_gives_as_many_whole_tokens_as_fit()
    {
        Microsoft.ML.Tokenizers.Tokenizer tokenizer = TokenizerVectors.Fixture("byte-level").Bare;
        const string Text = "The tree \U0001F600 tree";
        IReadOnlyList<int> ids = tokenizer.EncodeToIds(Text);
        char[] place = new char[Text.Length];
        Assert.Equal(OperationStatus.Done, tokenizer.Decode(ids, place, out int consumed, out int written));
        Assert.Equal((ids.Count, Text.Length, Text), (consumed, written, new string(place)));
        for (int room = 0; room < Text.Length; room++)
        {
            Assert.Equal(OperationStatus.DestinationTooSmall, tokenizer.Decode(ids, place.AsSpan(0, room), out consumed, out written));
            Assert.InRange(written, 0, room);
            Assert.Equal(tokenizer.Decode(ids.Take(consumed)), new string(place, 0, written));
            Assert.StartsWith(new string(place, 0, written), Text);
        }
    }
}
