using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Training.Files;

namespace Understory.Training.Tokens;

/// <summary>Writes a vocabulary as Hugging Face's libraries do: <c>tokenizer.json</c> and <c>tokenizer_config.json</c>.</summary>
internal static class TokenizerFiles
{
    private const long Normal = 1;
    private const long Control = 3;

    private static readonly JsonSerializerOptions _written = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="folder">Is there.</param>
    /// <param name="endOfText">A special token that begins and ends a text.</param>
    public static void Write(string folder, ByteLevelBpe tokens, string endOfText, string chatTemplate)
    {
        Save(folder, "tokenizer.json", Tokenizer(tokens));
        Save(folder, "tokenizer_config.json", new JsonObject
        {
            ["tokenizer_class"] = "PreTrainedTokenizerFast",
            ["bos_token"] = endOfText,
            ["eos_token"] = endOfText,
            ["add_prefix_space"] = false,
            ["chat_template"] = chatTemplate,
        });
    }

    /// <summary>The same as keys of a GGUF file.</summary>
    /// <param name="endOfTurn">A special token that ends an answer.</param>
    public static IEnumerable<KeyValuePair<string, object>> GgufKeys(
        ByteLevelBpe tokens, string endOfText, string endOfTurn, string chatTemplate)
    {
        long end = tokens.Tokens.ToList().IndexOf(endOfText);
        return new Dictionary<string, object>
        {
            ["tokenizer.ggml.model"] = "gpt2",
            ["tokenizer.ggml.pre"] = WordCounter.PreTokenizer,
            ["tokenizer.ggml.tokens"] = tokens.Tokens.ToArray(),
            ["tokenizer.ggml.token_type"] =
                Enumerable.Range(0, tokens.Size).Select(id => id < tokens.Specials.Count ? Control : Normal).ToArray(),
            ["tokenizer.ggml.merges"] = tokens.Merges.Select(merge => Spelled(tokens, merge)).ToArray(),
            ["tokenizer.ggml.bos_token_id"] = end,
            ["tokenizer.ggml.eos_token_id"] = end,
            ["tokenizer.ggml.eot_token_id"] = (long)tokens.Tokens.ToList().IndexOf(endOfTurn),
            ["tokenizer.ggml.add_bos_token"] = true,
            ["tokenizer.chat_template"] = chatTemplate,
        };
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is another kind of tokenizer.</exception>
    public static ByteLevelBpe Read(string path)
    {
        using var json = JsonDocument.Parse(File.ReadAllBytes(path));
        JsonElement model = json.RootElement.GetProperty("model");
        Dictionary<string, int> ids =
            model.GetProperty("vocab").EnumerateObject().ToDictionary(token => token.Name, token => token.Value.GetInt32());
        var tokens = new ByteLevelBpe(
            [.. json.RootElement.GetProperty("added_tokens").EnumerateArray().Select(token => token.GetProperty("content").GetString()!)],
            [.. model.GetProperty("merges").EnumerateArray().Select(merge => merge.GetString()!.Split(' '))
                .Select(pair => (ids[pair[0]], ids[pair[1]]))]);
        return ids.Count == tokens.Size && tokens.Tokens.Index().All(token => ids.GetValueOrDefault(token.Item, -1) == token.Index)
            ? tokens
            : throw new InvalidDataException($"{path}: its tokens are not special ones, bytes and merges, in this order");
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
                ["pretokenizers"] = new JsonArray(
                    new JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = new JsonObject { ["Regex"] = WordCounter.Pattern },
                        ["behavior"] = "Isolated",
                        ["invert"] = false,
                    },
                    ByteLevel(cuts: false)),
            },
            ["post_processor"] = null,
            ["decoder"] = ByteLevel(cuts: true),
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
                    [.. tokens.Merges.Select(merge => JsonValue.Create(Spelled(tokens, merge)))]),
            },
        };
    }

    private static string Spelled(ByteLevelBpe tokens, (int Left, int Right) merge) =>
        $"{tokens.Tokens[merge.Left]} {tokens.Tokens[merge.Right]}";

    private static JsonObject ByteLevel(bool cuts) => new()
    {
        ["type"] = "ByteLevel",
        ["add_prefix_space"] = false,
        ["trim_offsets"] = true,
        ["use_regex"] = cuts,
    };

    private static void Save(string folder, string name, JsonObject json) =>
        AtomicFile.WriteText(Path.Combine(folder, name), json.ToJsonString(_written));
}
