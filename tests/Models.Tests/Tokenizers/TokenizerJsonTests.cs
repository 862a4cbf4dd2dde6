using System.Text;
using System.Text.Json.Nodes;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

public class TokenizerJsonTests
{
    [Theory]
    [InlineData("""{"normalizer": {"type": "BertNormalizer"}}""", "normalizer.type: the normalizer BertNormalizer is not supported")]
    [InlineData("""{"pre_tokenizer": {"type": "UnicodeScripts"}}""",
        "pre_tokenizer.type: the pre-tokenizer UnicodeScripts is not supported")]
    [InlineData("""{"post_processor": {"type": "BertProcessing"}}""",
        "post_processor.type: the post-processor BertProcessing is not supported")]
    [InlineData("""{"decoder": {"type": "WordPiece"}}""", "decoder.type: the decoder WordPiece is not supported")]
    [InlineData("""{"model": {"type": "Unigram", "vocab": []}}""", "model.type: the model Unigram is not supported")]
    [InlineData("""{"model": {"dropout": 0.1}}""", "model.dropout: dropout is not supported")]
    [InlineData("""{"model": {"end_of_word_suffix": "</w>"}}""", "model.end_of_word_suffix: not supported")]
    [InlineData("""{"model": {"unk_token": "nobody"}}""", "model.unk_token: 'nobody' is not in the vocabulary")]
    [InlineData("""{"model": {"merges": [["a", "zz"]]}}""", "model.merges[0]: 'zz' is not in the vocabulary")]
    [InlineData("""{"model": {"merges": ["a b c"]}}""", "model.merges[0]: 'a b c' is not two tokens")]
    [InlineData("""{"model": {"merges": [["a"]]}}""", "model.merges[0]: expected two tokens")]
    [InlineData("""{"model": {"vocab": {"a": 2000000000}}}""", "model.vocab: the id of 'a' is not an integer from 0 to 16383")]
    [InlineData("""{"model": {"vocab": {"a": -1}}}""", "model.vocab: the id of 'a' is not an integer")]
    [InlineData("""{"model": {"vocab": {"a": 1, "b": 1}}}""", "model.vocab: 'b' or its id 1 is there twice")]
    [InlineData("""{"model": {"vocab": ["a"]}}""", "model.vocab: expected an object")]
    [InlineData("""{"added_tokens": [{"id": 3, "content": "<x>"}]}""", "added_tokens[0]: '<x>' has the id 3, but the vocabulary disagrees")]
    [InlineData("""{"added_tokens": [{"id": 2097152, "content": "<x>"}]}""", "added_tokens[0].id: 2097152 is not from 0")]
    [InlineData("""{"added_tokens": [{"id": "3", "content": "<x>"}]}""", "added_tokens[0].id: expected an integer")]
    [InlineData("""{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated"}}""",
        "pre_tokenizer.pattern.Regex: this regular expression")]
    [InlineData("""{"pre_tokenizer": {"type": "Split", "pattern": {"String": "a"}, "behavior": "Sideways"}}""",
        "pre_tokenizer.behavior: Sideways is not known")]
    public void What_is_broken_or_unsupported_is_named(string change, string message)
    {
        JsonObject file = Small();
        Merge(file, JsonNode.Parse(change)!.AsObject());
        var error = Assert.Throws<InvalidDataException>(() => Parse(file.ToJsonString()));
        Assert.StartsWith("small.json: " + message, error.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"model\": ")]
    [InlineData("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"\\ud800\": 0}, \"merges\": []}}")]
    [InlineData("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}}}")]
    [InlineData("{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}} {}")]
    [InlineData("{\"model\": 7}")]
    [InlineData("{\"\\ud800\": 7}")]
    [InlineData("{\"normalizer\": {\"type\": \"\\ud800\"}, \"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}")]
    [InlineData("{\"added_tokens\": []}")]
    public void A_broken_file_is_refused_with_its_name(string json)
    {
        Assert.StartsWith("small.json: ", Assert.Throws<InvalidDataException>(() => Parse(json)).Message);
    }

    [Fact]
    public void Deep_nesting_is_refused()
    {
        string deep = "{\"normalizer\": " + string.Concat(Enumerable.Repeat("{\"type\": \"Sequence\", \"normalizers\": [", 100_000));
        Assert.Throws<InvalidDataException>(() => Parse(deep));
    }

    [Fact]
    public void A_byte_level_step_that_is_not_last_writes_bytes_out_for_the_steps_behind_it()
    {
        // "é" is written as two letters, which the split parts; the merge of both then never applies, that of "a" and "b" does.
        Tokenizer tokenizer = Parse(
            """
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
               {"type": "Split", "pattern": {"String": "\u00C3"}, "behavior": "Isolated"}]},
             "decoder": {"type": "ByteLevel"},
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u00C3": 3, "\u00A9": 4, "\u00C3\u00A9": 5},
               "merges": [["a", "b"], ["\u00C3", "\u00A9"]]}}
            """);
        Assert.Equal([2, 3, 4], tokenizer.Encode("ab\u00E9"));
        Assert.Equal("ab\u00E9", tokenizer.Decode([2, 3, 4]));
    }

    [Fact]
    public void Tokens_beyond_the_models_are_refused_by_name_where_a_text_holds_one()
    {
        JsonObject file = Small();
        Merge(file, JsonNode.Parse("""{"added_tokens": [{"id": 4, "content": "<x>", "special": true}]}""")!.AsObject());
        Tokenizer whole = Parse(file.ToJsonString());
        Tokenizer tokenizer = whole.Within(4);
        Assert.Equal(4, tokenizer.VocabularySize);
        Assert.False(tokenizer.TryGetId("<x>", out _));
        Assert.Equal([2, 3], tokenizer.Encode("abc"));
        TokenizationException refusal = Assert.Throws<TokenizationException>(() => tokenizer.Encode("ab<x>"));
        Assert.Contains("<x>", refusal.Message, StringComparison.Ordinal);
        Assert.Same(whole, whole.Within(5));
        Assert.Contains("5 tokens and the model only 3", Assert.Throws<InvalidDataException>(() => whole.Within(3)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Merges_may_come_before_the_vocabulary()
    {
        Tokenizer tokenizer = Parse("""{"model": {"merges": [["a", "b"]], "vocab": {"a": 0, "b": 1, "ab": 2}}}""");
        Assert.Equal([2, 0], tokenizer.Encode("aba"));
    }

    [Fact]
    public void Ids_may_have_gaps()
    {
        Tokenizer tokenizer = Parse("""{"model": {"merges": [], "vocab": {"a": 0, "b": 1000}}}""");
        Assert.Equal(1001, tokenizer.VocabularySize);
        Assert.Equal("", tokenizer.TokenText(500));
        Assert.Equal("a b", tokenizer.Decode([0, 500, 1000]));
    }

    [Fact]
    public void The_fingerprint_tells_vocabularies_apart()
    {
        string one = Parse("""{"model": {"merges": [], "vocab": {"a": 0, "b": 1}}}""").Fingerprint;
        Assert.Equal(one, Parse("""{"model": {"merges": [["a", "b"]], "vocab": {"b": 1, "a": 0, "ab": 2}}, "added_tokens": []}"""
            .Replace(", \"ab\": 2", "").Replace("[\"a\", \"b\"]", "")).Fingerprint);
        Assert.NotEqual(one, Parse("""{"model": {"merges": [], "vocab": {"a": 1, "b": 0}}}""").Fingerprint);
        Assert.NotEqual(one, Parse("""{"model": {"merges": [], "vocab": {"ab": 0, "": 1}}}""").Fingerprint);
        Assert.NotEqual(one, Parse("""{"model": {"merges": [], "vocab": {"a": 0, "b": 1, "c": 2}}}""").Fingerprint);
    }

    [Fact]
    public void Special_tokens_around_a_text_are_the_first_and_last_token()
    {
        JsonObject file = Small();
        Merge(file, JsonNode.Parse(
            """
            {
              "added_tokens": [{"id": 4, "content": "<s>", "special": true}, {"id": 5, "content": "</s>", "special": true}],
              "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
                "special_tokens": {"<s>": {"ids": [4]}, "</s>": {"ids": [5]}}
              }
            }
            """)!.AsObject());
        Tokenizer tokenizer = Parse(file.ToJsonString());
        Assert.Equal([4, 0, 5], tokenizer.Encode("a"));
        Assert.Equal([4, 5], tokenizer.Encode(""));
        Assert.Equal((4, 5), (tokenizer.BosId, tokenizer.EosId));
    }

    [Theory]
    [InlineData("LlamaTokenizer", true, new[] { 3, 2 })]
    [InlineData("LlamaTokenizerFast", false, new[] { 2 })]
    [InlineData("PreTrainedTokenizerFast", true, new[] { 2 })]
    public void The_beginning_token_goes_by_the_tokenizers_class(string type, bool adds, int[] expected)
    {
        string folder = Directory.CreateTempSubdirectory("understory-").FullName;
        try
        {
            // With a byte order mark, as some editors write it.
            File.WriteAllText(Path.Combine(folder, "tokenizer.json"), Small().ToJsonString());
            var config = new JsonObject { ["tokenizer_class"] = type, ["add_bos_token"] = adds, ["bos_token"] = "c" };
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), config.ToJsonString(), new UTF8Encoding(true));
            Assert.Equal(expected, Tokenizer.Load(Path.Combine(folder, "tokenizer.json")).Encode("ab"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static JsonObject Small() => JsonNode.Parse(
        """{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": [["a", "b"]]}}""")!.AsObject();

    /// <summary>Sets the fields of <paramref name="change"/>; of a model those that it names.</summary>
    private static void Merge(JsonObject file, JsonObject change)
    {
        foreach ((string name, JsonNode? value) in change.ToList())
        {
            if (name == "model")
            {
                Merge(file["model"]!.AsObject(), value!.AsObject());
            }
            else
            {
                file[name] = value?.DeepClone();
            }
        }
    }

    private static Tokenizer Parse(string json) => Tokenizer.Parse(Encoding.UTF8.GetBytes(json), "small.json");
}
