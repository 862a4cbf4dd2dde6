using System.IO.Compression;
using System.Text.Json;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>Real tokenizers against the encodings of Hugging Face's library.</summary>
public class TokenizerVectorTests
{
    [SharedDataTheory("tokenizers")]
    [InlineData("gpt2", 237)]
    [InlineData("phi-3-mini", 238)]
    [InlineData("qwen3", 237)]
    public void Every_line_of_the_reference_vectors_is_exact(string name, int lines)
    {
        Tokenizer tokenizer = Load(name);
        string[] vectors = File.ReadAllLines(TestData.Shared($"tokenizers/{name}.vectors.jsonl"));
        Assert.Equal(lines, vectors.Length);
        Assert.All(vectors, line =>
        {
            JsonElement vector = JsonDocument.Parse(line).RootElement;
            string text = vector.GetProperty("text").GetString()!;
            int[] ids = Ids(vector, "ids");
            int[] idsWithoutSpecial = Ids(vector, "ids_no_special");
            Assert.Equal(ids, tokenizer.Encode(text));
            Assert.Equal(idsWithoutSpecial, tokenizer.Encode(text, addSpecialTokens: false));
            Assert.Equal(vector.GetProperty("decoded").GetString(), tokenizer.Decode(idsWithoutSpecial));
            Assert.Equal(vector.GetProperty("decoded_skip_special").GetString(), tokenizer.Decode(ids, skipSpecial: true));
        });
    }

    internal static Tokenizer Load(string name)
    {
        using var file = new GZipStream(File.OpenRead(TestData.Shared($"tokenizers/{name}.tokenizer.json.gz")), CompressionMode.Decompress);
        using var json = new MemoryStream();
        file.CopyTo(json);
        return Tokenizer.Parse(json.ToArray(), name);
    }

    private static int[] Ids(JsonElement vector, string field) =>
        [.. vector.GetProperty(field).EnumerateArray().Select(id => id.GetInt32())];
}
