using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.ML.Tokenizers;
using Tokenizer = Understory.Models.Tokenizers.Tokenizer;

namespace Understory.Models.Tests.Tokenizers;

/// <summary>
/// Our engine beside others, on random texts: Hugging Face's own library, and Microsoft's where it can read the vocabulary.
/// </summary>
public class TokenizerOracleTests
{
    /// <summary>GPT-2's pattern for words.</summary>
    private const string Words = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    private static readonly string s_demo = Standin.TokenizerFile;

    [OracleTheory]
    [InlineData("demo")]
    [InlineData("byte-level")]
    [InlineData("sentencepiece")]
    public void Random_texts_have_the_ids_of_Hugging_Faces_library(string name)
    {
        string path = name == "demo" ? s_demo : Repository.Fixture($"tokenizers/{name}.tokenizer.json");
        using var theirs = new global::Tokenizers.DotNet.Tokenizer(path);
        Tokenizer ours = Tokenizer.Load(path);
        Prop.ForAll(
            // Their text goes through a C string, which ends at the first NUL.
            Texts.WellFormed(),
            text => text.Contains('\0') || ours.Encode(text).SequenceEqual(theirs.Encode(text).Select(id => (int)id)))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Fact]
    public void Random_texts_have_the_ids_of_Microsofts_byte_pairs_on_a_byte_level_vocabulary()
    {
        JsonElement model = JsonDocument.Parse(File.ReadAllBytes(s_demo)).RootElement.GetProperty("model");
        var options = new BpeOptions(model.GetProperty("vocab").EnumerateObject()
            .Select(token => KeyValuePair.Create(token.Name, token.Value.GetInt32())))
        {
            ByteLevel = true,
            Merges = [.. model.GetProperty("merges").EnumerateArray().Select(merge => merge.GetString()!)],
            PreTokenizer = new RegexPreTokenizer(new Regex(Words, RegexOptions.CultureInvariant), null),
        };
        var theirs = BpeTokenizer.Create(options);
        Microsoft.ML.Tokenizers.Tokenizer ours = Tokenizer.Load(s_demo).Bare;
        // .NET's regular expressions see halves of astral letters, and its white space is not quite Unicode's.
        Prop.ForAll(
            Texts.WellFormed(),
            text => text.Any(char.IsSurrogate) || text.Contains("<|") || text.Contains('\u0085')
                || (ours.EncodeToIds(text).SequenceEqual(theirs.EncodeToIds(text)) && ours.CountTokens(text) == theirs.CountTokens(text)))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }
}

/// <summary>Needs the native library of Hugging Face's tokenizers, which the tests carry for Linux on x64.</summary>
public sealed class OracleTheoryAttribute : TheoryAttribute
{
    public OracleTheoryAttribute()
    {
        if (RuntimeInformation.RuntimeIdentifier != "linux-x64")
        {
            Skip = "The oracle's native library is carried for Linux on x64 alone.";
        }
    }
}
