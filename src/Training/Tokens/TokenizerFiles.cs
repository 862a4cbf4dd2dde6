using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Understory.Training.Tokens;

/// <summary>Writes a vocabulary as Hugging Face's libraries do: <c>tokenizer.json</c> and <c>tokenizer_config.json</c>.</summary>
internal static class TokenizerFiles
{
    private static readonly JsonSerializerOptions _written = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="folder">Is there.</param>
    /// <param name="endOfText">A special token that ends a text.</param>
    /// <param name="endOfTurn">A special token that ends an answer.</param>
    public static void Write(string folder, ByteLevelBpe tokens, string endOfText, string endOfTurn, string chatTemplate)
    {
        Save(folder, "tokenizer.json", Tokenizer(tokens));
        Save(folder, "tokenizer_config.json", new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["bos_token"] = endOfText,
            ["eos_token"] = endOfTurn,
            ["add_prefix_space"] = false,
            ["chat_template"] = chatTemplate,
        });
    }

    public static JsonObject Tokenizer(ByteLevelBpe tokens)
    {
        var vocabulary = new JsonObject();
        for (int id = 0; id < tokens.Size; id++)
        {
            vocabulary.Add(tokens.Tokens[id], id);
        }

        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = new JsonArray([.. tokens.Specials.Select((text, id) => new JsonObject
            {
                ["id"] = id,
                ["content"] = text,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(new JsonObject { ["type"] = "Digits", ["individual_digits"] = true }, ByteLevel()),
            },
            ["post_processor"] = null,
            ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = null,
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray(
                    [.. tokens.Merges.Select(merge => JsonValue.Create($"{tokens.Tokens[merge.Left]} {tokens.Tokens[merge.Right]}"))]),
            },
        };
    }

    private static JsonObject ByteLevel() => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = false,
        ["trim_offsets"] = true,
        ["use_regex"] = true,
    };

    private static void Save(string folder, string name, JsonObject json) =>
        File.WriteAllText(Path.Combine(folder, name), json.ToJsonString(_written));
}
