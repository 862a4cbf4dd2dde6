using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

public class GgufTokenizerTests
{
    private const string Metaspace = "\u2581";

    [Fact]
    public void A_byte_level_vocabulary_encodes_as_its_tokenizer_json_does()
    {
        Tokenizer expected = TokenizerVectors.Fixture("byte-level");
        Tokenizer tokenizer = Tokenizer.FromGguf(ByteLevel("qwen2"));
        Assert.Equal(expected.Fingerprint, tokenizer.Fingerprint);
        Assert.Equal(expected.BosId, tokenizer.BosId);
        Prop.ForAll(Texts.WellFormed(), text =>
        {
            string plain = text.Replace("<pad>", ""); // strips blanks, which GGUF cannot say
            return expected.Encode(plain).SequenceEqual(tokenizer.Encode(plain))
                && expected.Decode(expected.Encode(plain), skipSpecial: true) == tokenizer.Decode(tokenizer.Encode(plain),
                    skipSpecial: true);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Padding_beyond_the_vocabulary_does_not_change_the_fingerprint()
    {
        GgufVocabulary vocabulary = ByteLevel("qwen2");
        GgufVocabulary padded = vocabulary with
        {
            Tokens = [.. vocabulary.Tokens, "[PAD1]", "[PAD2]"],
            TokenTypes = [.. vocabulary.TokenTypes!, 5, 5],
        };
        Assert.Equal(Tokenizer.FromGguf(vocabulary).Fingerprint, Tokenizer.FromGguf(padded).Fingerprint);
    }

    [Theory]
    [InlineData("gpt-2", "1234 they'RE\n\nx", "1234| they|'|RE|\n|\n|x")]
    [InlineData("llama-bpe", "1234 they'RE\n\nx", "123|4| they|'RE|\n\n|x")]
    [InlineData("qwen2", "1234 they'RE\n\nx", "1|2|3|4| they|'RE|\n\n|x")]
    [InlineData("smollm", "1234 they'RE\n\nx", "1|2|3|4| they|'|RE|\n|\n|x")]
    [InlineData("default", "1234 a+b", "123|4| a|+|b")]
    [InlineData("tekken", "1234 theyRE HTTPServer\n\nx", "1|2|3|4| they|RE| HTTPServer|\n\n|x")]
    [InlineData("gpt-4o", "1234 they're HELLOworld/\n", "123|4| they're| HELLOworld|/\n")]
    [InlineData("falcon", "1234 a`b", "123|4| a|`|b")]
    [InlineData("deepseek-llm", "12 ab, \u4E00\u4E8Cc", "12| ab|,| |\u4E00\u4E8C|c")]
    [InlineData("deepseek-coder", "12 ab, \u4E00\u4E8Cc", "1|2| ab|,| |\u4E00\u4E8C|c")]
    [InlineData("deepseek-v3", "1234 ab#if\n\nx", "123|4| ab|#if|\n\n|x")]
    [InlineData("qwen35", "1 e\u0301a x", "1| \u00E9a| x")]
    public void The_pre_tokenizer_goes_by_its_name(string pre, string text, string words)
    {
        // With every word a token of its own, the tokens are the words.
        string[] expected = words.Split('|');
        string[] letters = [.. Enumerable.Range(0, 256).Select(value => ByteAlphabet.Char((byte)value).ToString())];
        var tokens = new List<string>(letters);
        var merges = new List<string>();
        foreach (string word in expected.Append("12345").Append("\n\nx").Append("'RE\n").Append("yRE").Append("HELLOworld/"))
        {
            string written = ByteAlphabet.Write(Encoding.UTF8.GetBytes(word));
            for (int length = 2; length <= written.Length; length++)
            {
                string merged = written[..length];
                if (!tokens.Contains(merged))
                {
                    tokens.Add(merged);
                    merges.Add($"{merged[..^1]} {merged[^1]}");
                }
            }
        }

        Tokenizer tokenizer = Tokenizer.FromGguf(new GgufVocabulary(
            "gpt2", pre, [.. tokens], null, null, [.. merges], null, null, null, AddBos: false, AddEos: false, AddSpacePrefix: false));
        Assert.Equal(expected, tokenizer.Encode(text).Select(id => tokenizer.Decode([id])));
    }

    [Fact]
    public void A_sentencepiece_vocabulary_merges_whatever_makes_the_token_of_highest_score()
    {
        string[] pieces = ["a", "b", "c", Metaspace, "ab", "bc", Metaspace + "a", "abc", "aa", Metaspace + "ab", "ca", "cab"];
        float[] pieceScores = [-9, -9, -9, -9, -2, -1, -4, -3, -2, -5, -1, -6];
        GgufVocabulary vocabulary = SentencePiece(pieces, pieceScores);
        Tokenizer tokenizer = Tokenizer.FromGguf(vocabulary);
        var scores = pieces.Zip(pieceScores).ToDictionary(pair => pair.First, pair => pair.Second);
        Prop.ForAll(Gen.Elements("a", "b", "c", " ").ListOf().Select(string.Concat).ToArbitrary(), text =>
        {
            string[] expected = text.Length == 0 ? [] : MergeByScore(scores, (" " + text).Replace(" ", Metaspace));
            Assert.Equal(expected, tokenizer.Encode(text, addSpecialTokens: false).Select(tokenizer.TokenText));
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text), skipSpecial: true));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_a_sentencepiece_vocabulary_lacks_becomes_bytes()
    {
        Tokenizer tokenizer = Tokenizer.FromGguf(SentencePiece(["a", Metaspace], [0, 0]));
        int[] ids = tokenizer.Encode("<s>é", addSpecialTokens: true);
        Assert.Equal(["<s>", "<s>", Metaspace, "<0xC3>", "<0xA9>"], ids.Select(tokenizer.TokenText));
        Assert.Equal("é", new StreamDecoder(tokenizer) is var stream ? string.Concat(ids.Select(stream.Push)).Trim() : "");
    }

    [Fact]
    public void Broken_metadata_are_refused_by_key()
    {
        GgufVocabulary good = SentencePiece(["a"], [0]);
        Refuses(good with { Model = "bert" }, "tokenizer.ggml.model: bert is not supported");
        Refuses(good with { Scores = null }, "tokenizer.ggml.scores: missing");
        Refuses(good with { Scores = [1] }, "tokenizer.ggml.scores: 1 values for");
        Refuses(good with { TokenTypes = [1] }, "tokenizer.ggml.token_type: 1 values for");
        Refuses(good with { BosId = 100_000 }, "tokenizer.ggml.bos_token_id: 100000 is not in the vocabulary");
        GgufVocabulary bytes = ByteLevel("qwen2");
        Refuses(bytes with { Pre = "superbpe" }, "tokenizer.ggml.pre: the pre-tokenizer superbpe is not supported; ");
        Refuses(bytes with { Merges = null }, "tokenizer.ggml.merges: missing");
        Refuses(bytes with { Merges = ["ab"] }, "tokenizer.ggml.merges[0]: 'ab' is not two tokens");
        Refuses(bytes with { Merges = [""] }, "tokenizer.ggml.merges[0]: '' is not two tokens");
        Refuses(bytes with { Merges = ["zzz zz"] }, "tokenizer.ggml.merges[0]: 'zzz zz' names tokens that the vocabulary lacks");
        Refuses(bytes with { Tokens = [.. bytes.Tokens.SkipLast(1), "!"] },
            $"tokenizer.ggml.tokens[{bytes.Tokens.Length - 1}]: '!' is there twice");

        static void Refuses(GgufVocabulary vocabulary, string message) =>
            Assert.StartsWith(message, Assert.Throws<InvalidDataException>(() => Tokenizer.FromGguf(vocabulary)).Message);
    }

    [Fact]
    public void Tokens_that_end_turns_are_known_by_keys_and_by_their_texts()
    {
        GgufVocabulary bytes = ByteLevel("qwen2");
        int first = bytes.Tokens.Length;
        GgufVocabulary Of(params string[] more) => bytes with
        {
            Tokens = [.. bytes.Tokens, .. more],
            TokenTypes = [.. bytes.TokenTypes!, .. more.Select(_ => 1)],
            EosId = 3,
            EotId = 5,
            EomId = 4,
        };
        IReadOnlyList<int> own = Of().EndIds;
        Assert.Subset(own.ToHashSet(), new HashSet<int> { 3, 4, 5 });
        Assert.Equal([.. own, first + 1], Of("<x>", "<|im_end|>").EndIds);
        int end = Array.IndexOf(bytes.Tokens, "<|end|>");
        Assert.Contains(end, own);
        Assert.Equal([.. own.Where(id => id != end), first, first + 1], Of("<|return|>", "<|call|>").EndIds);
        Assert.Equal([.. own, first], Of("<|tool_response>", "</s>").EndIds);

        // Whatever type the file gives them, they are control.
        Tokenizer tokenizer = Tokenizer.FromGguf(Of("<|im_end|>"));
        Assert.Equal([first], tokenizer.Encode("<|im_end|>", addSpecialTokens: false));
        Assert.True(tokenizer.IsSpecial(first));
    }

    [Fact]
    public void Gemma_4s_vocabulary_merges_characters_and_falls_back_to_bytes()
    {
        string[] tokens = ["<unk>", "<bos>", "<eos>", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>"), "a", "b", Metaspace,
            Metaspace + "a", "\n", "\n\n", "ab"];
        Tokenizer tokenizer = Tokenizer.FromGguf(new GgufVocabulary(
            "gemma4", null, tokens, null, [2, 3, 3, .. Enumerable.Repeat(6, 256), .. Enumerable.Repeat(1, tokens.Length - 259)],
            [Metaspace + " a", "\n \n", "a b"], 1, 2, 0, AddBos: true, AddEos: false, AddSpacePrefix: false));
        int[] ids = tokenizer.Encode("ab a\n\n\u00E9");
        Assert.Equal(["<bos>", "ab", Metaspace + "a", "\n\n", "<0xC3>", "<0xA9>"], ids.Select(tokenizer.TokenText));
        Assert.Equal("ab a\n\n\u00E9", tokenizer.Decode(ids, skipSpecial: true));
    }

    [SharedDataFact("tokenizers")]
    public void Scores_give_the_encodings_of_a_real_model()
    {
        JsonElement json = JsonDocument.Parse(SharedData.Unpacked("tokenizers/phi-3-mini.tokenizer.json.gz")).RootElement;
        string[] tokens = Tokens(json);

        // tokenizer.json has no scores, but its merges are sorted by the score of the token that they make.
        var scores = new Dictionary<string, float>();
        foreach (JsonElement merge in json.GetProperty("model").GetProperty("merges").EnumerateArray())
        {
            scores.TryAdd(merge.GetString()!.Replace(" ", ""), -scores.Count);
        }

        Tokenizer tokenizer = Tokenizer.FromGguf(new GgufVocabulary(
            "llama", null, tokens, [.. tokens.Select(token => scores.GetValueOrDefault(token, -1e9f))],
            [.. tokens.Select((_, id) => id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)],
            null, 1, 2, 0, AddBos: false, AddEos: false, AddSpacePrefix: true));
        var vectors = File.ReadLines(SharedData.PathOf("tokenizers/phi-3-mini.vectors.jsonl"))
            .Select(line => JsonDocument.Parse(line).RootElement)
            .Where(vector => !vector.GetProperty("text").GetString()!.Contains("<|")
                && !vector.GetProperty("text").GetString()!.Contains("</s>"))
            .ToList();
        Assert.True(vectors.Count > 150);
        Assert.All(vectors, vector => Assert.Equal(
            vector.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()),
            tokenizer.Encode(vector.GetProperty("text").GetString()!)));
    }

    /// <summary>The metadata that the byte-level fixture would have as GGUF.</summary>
    private static GgufVocabulary ByteLevel(string pre)
    {
        JsonElement json = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("tokenizers/byte-level.tokenizer.json"))).RootElement;
        JsonElement[] added = [.. json.GetProperty("added_tokens").EnumerateArray()];
        string[] tokens = Tokens(json);
        return new GgufVocabulary(
            "gpt2", pre, [.. tokens, .. added.Select(token => token.GetProperty("content").GetString()!)], null,
            [.. tokens.Select(_ => 1), .. added.Select(token => token.GetProperty("special").GetBoolean() ? 3 : 4)],
            [.. json.GetProperty("model").GetProperty("merges").EnumerateArray()
                .Select(pair => $"{pair[0].GetString()} {pair[1].GetString()}")],
            tokens.Length, null, null, AddBos: true, AddEos: false, AddSpacePrefix: false);
    }

    private static string[] Tokens(JsonElement json) =>
        [.. json.GetProperty("model").GetProperty("vocab").EnumerateObject().OrderBy(token => token.Value.GetInt32())
            .Select(token => token.Name)];

    private static GgufVocabulary SentencePiece(string[] pieces, float[] scores)
    {
        string[] head = ["<unk>", "<s>", "</s>", .. Enumerable.Range(0, 256).Select(value => $"<0x{value:X2}>")];
        return new GgufVocabulary(
            "llama", "default", [.. head, .. pieces], [.. head.Select(_ => 0f), .. scores],
            [2, 3, 3, .. Enumerable.Repeat(6, 256), .. Enumerable.Repeat(1, pieces.Length)], null, 1, 2, 0, AddBos: true, AddEos: false,
            AddSpacePrefix: true);
    }

    private static string[] MergeByScore(Dictionary<string, float> scores, string text)
    {
        List<string> symbols = [.. text.Select(letter => letter.ToString())];
        while (true)
        {
            int best = -1;
            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                if (scores.TryGetValue(symbols[i] + symbols[i + 1], out float score)
                    && (best < 0 || score > scores[symbols[best] + symbols[best + 1]]))
                {
                    best = i;
                }
            }

            if (best < 0)
            {
                return [.. symbols];
            }

            symbols[best] += symbols[best + 1];
            symbols.RemoveAt(best + 1);
        }
    }
}
