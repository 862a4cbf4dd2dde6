using System.Text;
using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Tests.Constraints;

/// <summary>Tokenizers and grammars for tests.</summary>
internal static class Grammars
{
    private static readonly Lazy<Tokenizer> _bytes = new(() => Byte([]));
    private static readonly Lazy<Tokenizer> _qwen = new(() => Unzip("tokenizers/qwen3.tokenizer.json.gz"));

    public static Tokenizer Bytes => _bytes.Value;

    /// <summary>151,669 tokens.</summary>
    public static Tokenizer Qwen => _qwen.Value;

    public static Tokenizer Demo { get; } = Tokenizer.Load(Standin.TokenizerFile);

    public static Grammar Schema(string json) => Grammar.JsonSchema(JsonDocument.Parse(json).RootElement);

    public static Constraint Compile(Grammar grammar) => Constraint.Compile(grammar, Bytes);

    public static bool Matches(Grammar grammar, string text) => Compile(grammar).Matches(text);

    /// <summary>Byte-level: all bytes, the given texts, one special token and one added token that is text.</summary>
    public static Tokenizer Byte(IEnumerable<string> more)
    {
        // GPT-2's alphabet: printable Latin-1 stands for itself, the rest from U+0100 on.
        var alphabet = new string[256];
        int next = 256;
        for (int value = 0; value < 256; value++)
        {
            bool itself = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            alphabet[value] = ((char)(itself ? value : next++)).ToString();
        }

        var vocabulary = new Dictionary<string, int>();
        foreach (
            string token in alphabet.Concat(
                more.Select(text => string.Concat(Encoding.UTF8.GetBytes(text).Select(value => alphabet[value])))))
        {
            vocabulary.TryAdd(token, vocabulary.Count);
        }

        int special = vocabulary.Count;
        string json = JsonSerializer.Serialize(new
        {
            added_tokens = new object[]
            {
                new { id = special, content = "<|end|>", single_word = false, lstrip = false, rstrip = false, normalized = false,
                    special = true },
                new { id = special + 1, content = "<call>", single_word = false, lstrip = false, rstrip = false, normalized = false,
                    special = false },
            },
            pre_tokenizer = new { type = "ByteLevel", add_prefix_space = false, trim_offsets = true, use_regex = true },
            decoder = new { type = "ByteLevel", add_prefix_space = true, trim_offsets = true, use_regex = true },
            model = new { type = "BPE", vocab = vocabulary, merges = Array.Empty<string>() },
        });
        return Tokenizer.Parse(Encoding.UTF8.GetBytes(json), "test");
    }

    private static Tokenizer Unzip(string name) => Tokenizer.Parse(SharedData.Unpacked(name), name);
}
