using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

public class TokenizerPropertyTests
{
    private static readonly Tokenizer s_byteLevel = TokenizerVectors.Fixture("byte-level");
    private static readonly Tokenizer s_sentencePiece = TokenizerVectors.Fixture("sentencepiece");

    [Fact]
    public void Byte_level_encoding_loses_nothing_but_the_normalisation()
    {
        Prop.ForAll(Texts.WellFormed(), text =>
        {
            // The one added token that swallows blanks aside, decoding gives the composed text.
            string composed = Models.Tokenizers.Normalization.UnicodeNormalization.Normalize(text, NormalizationForm.FormC);
            return text.Contains("<pad>") || s_byteLevel.Decode(s_byteLevel.Encode(text, addSpecialTokens: false)) == composed;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Lone_surrogates_encode_as_the_replacement_character()
    {
        Prop.ForAll(Texts.Any(), text =>
        {
            string wellFormed = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
            return s_byteLevel.Encode(text).SequenceEqual(s_byteLevel.Encode(wellFormed))
                && s_sentencePiece.Encode(text).SequenceEqual(s_sentencePiece.Encode(wellFormed));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_stream_gives_the_text_of_the_whole_for_any_tokens()
    {
        foreach (Tokenizer tokenizer in (Tokenizer[])[s_byteLevel, s_sentencePiece])
        {
            // Ids beyond both ends of the vocabulary too: a model's logits may be wider than it.
            Arbitrary<List<int>> ids = Gen.Choose(-2, tokenizer.VocabularySize + 3).ListOf().Select(list => list.ToList()).ToArbitrary();
            Prop.ForAll(ids, sequence =>
            {
                foreach (bool skipSpecial in (bool[])[true, false])
                {
                    var stream = new StreamDecoder(tokenizer, skipSpecial);
                    string text = string.Concat(sequence.Select(stream.Push)) + stream.Flush();
                    Assert.Equal(tokenizer.Decode([.. sequence], skipSpecial), text);
                }
            }).QuickCheckThrowOnFailure();
        }
    }

    [Fact]
    public void Encoding_on_many_threads_gives_what_one_thread_gives()
    {
        string[] texts = [.. Enumerable.Range(0, 400).Select(i => $"tree {i} doesn't grow <|turn|> größe {i * i}")];
        int[][] expected = [.. texts.Select(text => s_byteLevel.Encode(text))];
        int[][] encoded = [.. texts.AsParallel().AsOrdered().WithDegreeOfParallelism(4).Select(text => s_byteLevel.Encode(text))];
        Assert.Equal(expected, encoded);
    }
}
