using System.Text.Json;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>Reference encodings, one JSON object a line: text, ids, ids_no_special, decoded, decoded_skip_special.</summary>
internal static class TokenizerVectors
{
    public static void Check(Tokenizer tokenizer, IEnumerable<string> lines) => Assert.All(lines, line =>
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

    public static Tokenizer Fixture(string name) => Tokenizer.Load(Repository.Fixture($"tokenizers/{name}.tokenizer.json"));

    private static int[] Ids(JsonElement vector, string field) =>
        [.. vector.GetProperty(field).EnumerateArray().Select(id => id.GetInt32())];
}
