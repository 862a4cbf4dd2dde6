using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Tokenizers;

namespace Understory.Server.Tests;

/// <summary>
/// A model folder that says given texts whatever it is asked: a GPT-2 of one layer whose weights are zero but for the positions'
/// embeddings, the unit matrix, and the head. The text that begins at position p answers every prompt of p + 1 tokens, at any temperature
/// up to 1.
/// </summary>
internal static class ScriptedModel
{
    private const int Size = 1024;
    private const int Inner = 64;
    private const string Begin = "<|im_start|>";
    private const string End = "<|im_end|>";

    /// <param name="folder">Where; it is made.</param>
    /// <param name="template">A chat template that writes <c>&lt;|im_start|&gt;</c> as often as says which text is to come.</param>
    /// <param name="texts">By the position at which each begins.</param>
    public static void Make(string folder, string template, IReadOnlyDictionary<int, string> texts)
    {
        Directory.CreateDirectory(folder);
        string demo = Standin.TokenizerFile;
        Tokenizer tokenizer = Tokenizer.Load(demo);
        int begin = tokenizer.VocabularySize;
        int end = begin + 1;
        JsonNode file = JsonNode.Parse(File.ReadAllText(demo))!;
        foreach ((string text, int id) in ((string, int)[])[(Begin, begin), (End, end)])
        {
            file["added_tokens"]!.AsArray().Add(new JsonObject
            {
                ["id"] = id,
                ["content"] = text,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            });
        }

        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), file.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), JsonSerializer.Serialize(
            new { bos_token = Begin, eos_token = End, chat_template = template }));
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(new
        {
            model_type = "gpt2",
            vocab_size = end + 1,
            n_positions = Size,
            n_embd = Size,
            n_layer = 1,
            n_head = 16,
            n_inner = Inner,
            activation_function = "gelu_new",
            layer_norm_epsilon = 1e-5,
            bos_token_id = begin,
            eos_token_id = end,
            tie_word_embeddings = false,
        }));
        var head = new Half[(end + 1) * Size];
        foreach ((int start, string text) in texts)
        {
            int position = start;
            foreach (int token in Tokens(text, tokenizer).Append(end))
            {
                head[(token * Size) + position++] = (Half)1;
            }
        }

        var positions = new Half[Size * Size];
        for (int i = 0; i < Size; i++)
        {
            positions[(i * Size) + i] = (Half)1;
        }

        Save(Path.Combine(folder, "model.safetensors"),
        [
            ("wte.weight", [end + 1, Size], null), ("wpe.weight", [Size, Size], positions), ("lm_head.weight", [end + 1, Size], head),
            .. Norm("ln_f"), .. Norm("h.0.ln_1"), .. Norm("h.0.ln_2"),
            .. Zero("attn.c_attn", Size, 3 * Size), .. Zero("attn.c_proj", Size, Size), .. Zero("mlp.c_fc", Size, Inner),
            .. Zero("mlp.c_proj", Inner, Size),
        ]);
    }

    /// <summary>One token per byte: the vocabulary has them all.</summary>
    private static IEnumerable<int> Tokens(string text, Tokenizer tokenizer) => Encoding.UTF8.GetBytes(text).Select(value =>
        Enumerable.Range(0, tokenizer.VocabularySize).First(id => tokenizer.TokenBytes(id) is [var only] && only == value));

    private static (string, int[], Half[]?)[] Norm(string name) =>
        [($"{name}.weight", [Size], [.. Enumerable.Repeat((Half)1, Size)]), ($"{name}.bias", [Size], null)];

    private static (string, int[], Half[]?)[] Zero(string name, int rows, int columns) =>
        [($"h.0.{name}.weight", [rows, columns], null), ($"h.0.{name}.bias", [columns], null)];

    /// <param name="tensors">Name, shape and values; null: zeros.</param>
    private static void Save(string path, (string Name, int[] Shape, Half[]? Values)[] tensors)
    {
        var header = new JsonObject();
        long at = 0;
        foreach ((string name, int[] shape, _) in tensors)
        {
            long length = 2L * shape.Aggregate(1, (size, side) => size * side);
            header[name] = new JsonObject
            {
                ["dtype"] = "F16",
                ["shape"] = new JsonArray([.. shape.Select(side => (JsonNode)side)]),
                ["data_offsets"] = new JsonArray(at, at + length),
            };
            at += length;
        }

        byte[] text = Encoding.UTF8.GetBytes(header.ToJsonString());
        using FileStream file = File.Create(path);
        byte[] size = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(size, text.Length);
        file.Write(size);
        file.Write(text);
        foreach ((_, int[] shape, Half[]? values) in tensors)
        {
            file.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(
                (values ?? new Half[shape.Aggregate(1, (count, side) => count * side)]).AsSpan()));
        }
    }
}
