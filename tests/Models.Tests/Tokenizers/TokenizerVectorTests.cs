using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>Whole tokenizers against the encodings of Hugging Face's library.</summary>
public class TokenizerVectorTests
{
    [Theory]
    [InlineData("byte-level")]
    [InlineData("sentencepiece")]
    public void Our_small_tokenizers_encode_and_decode_as_the_reference_does(string name)
    {
        string[] cases = File.ReadAllLines(Repository.Fixture($"tokenizers/{name}.cases.jsonl"));
        Assert.Equal(53, cases.Length);
        TokenizerVectors.Check(TokenizerVectors.Fixture(name), cases);
    }

    [SharedDataTheory("tokenizers")]
    [InlineData("gpt2", 237)]
    [InlineData("phi-3-mini", 238)]
    [InlineData("qwen3", 237)]
    public void Every_line_of_the_reference_vectors_is_exact(string name, int lines)
    {
        string[] vectors = File.ReadAllLines(SharedData.PathOf($"tokenizers/{name}.vectors.jsonl"));
        Assert.Equal(lines, vectors.Length);
        TokenizerVectors.Check(Load(name), vectors);
    }

    private static Tokenizer Load(string name) =>
        Tokenizer.Parse(SharedData.Unpacked($"tokenizers/{name}.tokenizer.json.gz"), name);
}
