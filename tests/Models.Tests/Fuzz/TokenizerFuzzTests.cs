using System.Text;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Fuzz;

/// <summary>tokenizer.json and tokenizer_config.json that somebody else made.</summary>
public sealed class TokenizerFuzzTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-fuzz").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("byte-level", false)]
    [InlineData("byte-level", true)]
    [InlineData("sentencepiece", false)]
    [InlineData("sentencepiece", true)]
    public void A_damaged_tokenizer_is_read_or_refused(string name, bool asJson)
    {
        byte[] whole = File.ReadAllBytes(Repository.Fixture("tokenizers", $"{name}.tokenizer.json"));
        string text = Encoding.UTF8.GetString(whole);
        FuzzRun.Check(
            asJson ? 300 : 600,
            factor: 64,
            constant: 8 << 20,
            mutator => asJson ? Encoding.UTF8.GetBytes(mutator.Json(text)) : mutator.Bytes(whole, whole.Length),
            Reads);
    }

    [Fact]
    public void An_id_far_beyond_the_tokens_takes_no_table_of_its_size()
    {
        const string Json = """{"added_tokens":[{"id":2097151,"content":"x"}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""";
        Assert.False(FuzzRun.ReadOne(0, Encoding.UTF8.GetBytes(Json), factor: 64, constant: 1 << 20, Reads));
    }

    [Theory]
    [InlineData("(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")]
    [InlineData("(?=(a+)+$)a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")]
    [InlineData("(a|aa)+(?!b)$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")]
    public void A_regular_expression_that_backtracks_without_end_is_given_up(string pattern, string text)
    {
        bool ended = FuzzRun.ReadOne(0, Encoding.UTF8.GetBytes(WithPattern(pattern)), factor: 1000, constant: 64 << 20, json =>
        {
            Tokenizer tokenizer = Load(json);
            try
            {
                _ = tokenizer.Encode(text);
            }
            catch (TokenizationException e)
            {
                Assert.Contains("regular expression", e.Message);
            }

            return true;
        });
        Assert.True(ended);
    }

    [Theory]
    [InlineData(250)]
    [InlineData(10_000)]
    [InlineData(100_000)]
    public void A_regular_expression_nested_without_end_is_refused(int depth)
    {
        foreach ((string pattern, bool isRead) in ((string, bool)[])
        [
            (new string('(', depth) + new string(')', depth), depth < 256),
            (string.Concat(Enumerable.Repeat("(?:a|", depth)) + new string(')', depth), depth < 256),
            (string.Concat(Enumerable.Repeat("a?", depth)), depth <= 10_000),
            (new string('(', depth), false),
            ("(a{1000}){1000}{1000}", false),
        ])
        {
            Assert.Equal(isRead, FuzzRun.ReadOne(
                0, Encoding.UTF8.GetBytes(WithPattern(pattern)), factor: 10_000, constant: 64 << 20, Reads));
        }
    }

    [Fact]
    public void Steps_nested_without_end_are_refused()
    {
        foreach ((string field, string list) in ((string, string)[])[("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"),
            ("decoder", "decoders"), ("post_processor", "processors")])
        {
            string steps = string.Concat(Enumerable.Repeat($"{{\"type\":\"Sequence\",\"{list}\":[", 50_000))
                + string.Concat(Enumerable.Repeat("]}", 50_000));
            string json = $$$"""{"{{{field}}}":{{{steps}}},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}""";
            Assert.False(FuzzRun.ReadOne(0, Encoding.UTF8.GetBytes(json), factor: 64, constant: 1 << 20, Reads));
        }
    }

    [Fact]
    public void A_damaged_tokenizer_config_is_read_or_refused()
    {
        const string Json = """{"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":[{"name":"default","template":"{% for """
            + """m in messages %}{{ m.content }}{% endfor %}"}]}""";
        FuzzRun.Check(2000, factor: 64, constant: 1 << 20, mutator => Encoding.UTF8.GetBytes(mutator.Json(Json)), file =>
        {
            File.WriteAllBytes(Path.Combine(_folder, "tokenizer_config.json"), file);
            try
            {
                _ = ChatTemplate.FromFolder(_folder);
                return true;
            }
            catch (InvalidDataException)
            {
                return false;
            }
        });
    }

    private static string WithPattern(string pattern) =>
        $$$"""{"pre_tokenizer":{"type":"Split","pattern":{"Regex":{{{System.Text.Json.JsonSerializer.Serialize(pattern)}}}},"""
            + """ "behavior":"Isolated"},"model":{"type":"BPE","vocab":{"a":0,"!":1},"merges":[]}}""";

    private Tokenizer Load(byte[] json)
    {
        string path = Path.Combine(_folder, "tokenizer.json");
        File.WriteAllBytes(path, json);
        return Tokenizer.Load(path);
    }

    private bool Reads(byte[] json)
    {
        try
        {
            Tokenizer tokenizer = Load(json);
            _ = tokenizer.Decode(tokenizer.Encode("def f(x):\n    return \u00E9\u4E2D\U0001F600 <s> 12345"));
            return true;
        }
        catch (InvalidDataException e)
        {
            Assert.NotEmpty(e.Message);
            return false;
        }
    }
}
