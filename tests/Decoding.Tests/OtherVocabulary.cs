using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding.Tests;

/// <summary>Copies of a demo model with another tokenizer, in a folder of their own.</summary>
internal sealed class OtherVocabulary : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("vocabulary").FullName;

    private OtherVocabulary(string model)
    {
        foreach (string file in Directory.GetFiles(Path.Combine(DemoBundle.Folder, model)))
        {
            File.Copy(file, Path.Combine(_folder, Path.GetFileName(file)));
        }
    }

    /// <summary>The same tokens with other ids; each keeps its vector.</summary>
    public static OtherVocabulary Shuffled(string model)
    {
        var other = new OtherVocabulary(model);
        // The end of the text keeps its id, which the configs name.
        int[] order = [.. Enumerable.Range(1, other.Texts().Count - 1)];
        new Random(7).Shuffle(order);
        other.Keep([0, .. order]);
        return other;
    }

    /// <summary>The same model, said to guess several tokens at once behind this one.</summary>
    public static OtherVocabulary Masked(string model, int mask)
    {
        var other = new OtherVocabulary(model);
        other.EditConfig("pard_token", mask);
        return other;
    }

    /// <summary>Nothing but bytes.</summary>
    public static OtherVocabulary Bytes(string model)
    {
        var other = new OtherVocabulary(model);
        other.Keep([0, .. other.Texts().Where(pair => pair.Value.Length == 1).Select(pair => pair.Key).Order()]);
        return other;
    }

    /// <summary>Of so many tokens in a hundred that are longer than a byte, each has another text, that nobody writes.</summary>
    public static OtherVocabulary Lacking(string model, int percent)
    {
        var other = new OtherVocabulary(model);
        other.EditTokenizer(tokenizer =>
        {
            JsonObject vocabulary = [];
            var random = new Random(11);
            foreach ((string text, JsonNode? id) in tokenizer["model"]!["vocab"]!.AsObject())
            {
                bool lost = text.Length > 1 && text[0] != '<' && random.Next(100) < percent;
                vocabulary[lost ? $"qzq{id}qzq" : text] = id!.GetValue<int>();
            }

            var merges = new JsonArray();
            foreach (JsonNode? merge in tokenizer["model"]!["merges"]!.AsArray())
            {
                string[] parts = merge!.GetValue<string>().Split(' ');
                if (vocabulary.ContainsKey(parts[0]) && vocabulary.ContainsKey(parts[1]) && vocabulary.ContainsKey(parts[0] + parts[1]))
                {
                    merges.Add(merge.GetValue<string>());
                }
            }

            tokenizer["model"]!["vocab"] = vocabulary;
            tokenizer["model"]!["merges"] = merges;
        });
        return other;
    }

    public LanguageModel Load(IKernels kernels) => ModelLoader.Load(_folder, kernels, new LoadOptions());

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void EditTokenizer(Action<JsonNode> edit)
    {
        string path = Path.Combine(_folder, "tokenizer.json");
        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(path))!;
        edit(tokenizer);
        File.WriteAllText(path, tokenizer.ToJsonString());
    }

    private Dictionary<int, string> Texts()
    {
        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder, "tokenizer.json")))!;
        return tokenizer["model"]!["vocab"]!.AsObject().ToDictionary(pair => pair.Value!.GetValue<int>(), pair => pair.Key);
    }

    /// <summary>Keeps these tokens; their places are their new ids.</summary>
    private void Keep(int[] ids)
    {
        Dictionary<int, string> texts = Texts();
        HashSet<string> kept = [.. ids.Select(id => texts[id])];
        EditTokenizer(tokenizer =>
        {
            var vocabulary = new JsonObject();
            for (int id = 0; id < ids.Length; id++)
            {
                vocabulary[texts[ids[id]]] = id;
            }

            JsonNode model = tokenizer["model"]!;
            model["vocab"] = vocabulary;
            model["merges"] = new JsonArray([.. model["merges"]!.AsArray().Select(merge => merge!.GetValue<string>())
                .Where(merge => kept.Contains(merge.Replace(" ", "", StringComparison.Ordinal))).Select(merge => JsonValue.Create(merge))]);
        });
        EditConfig("vocab_size", ids.Length);
        KeepRows("wte.weight", ids);
    }

    private void EditConfig(string key, int value)
    {
        string path = Path.Combine(_folder, "config.json");
        JsonNode config = JsonNode.Parse(File.ReadAllText(path))!;
        config[key] = value;
        File.WriteAllText(path, config.ToJsonString());
    }

    private void KeepRows(string name, int[] rows)
    {
        string path = Path.Combine(_folder, "model.safetensors");
        byte[] file = File.ReadAllBytes(path);
        int header = (int)BitConverter.ToInt64(file);
        JsonObject tensors = JsonNode.Parse(file.AsSpan(8, header))!.AsObject();
        var data = new MemoryStream();
        foreach ((string tensor, JsonNode? entry) in tensors.Where(tensor => tensor.Key != "__metadata__"))
        {
            JsonNode offsets = entry!["data_offsets"]!;
            int from = offsets[0]!.GetValue<int>();
            ReadOnlySpan<byte> bytes = file.AsSpan(8 + header + from, offsets[1]!.GetValue<int>() - from);
            long start = data.Length;
            if (tensor.EndsWith(name, StringComparison.Ordinal))
            {
                int size = bytes.Length / entry["shape"]![0]!.GetValue<int>();
                foreach (int row in rows)
                {
                    data.Write(bytes.Slice(row * size, size));
                }

                entry["shape"]![0] = rows.Length;
            }
            else
            {
                data.Write(bytes);
            }

            entry["data_offsets"] = new JsonArray(start, data.Length);
        }

        byte[] text = System.Text.Encoding.UTF8.GetBytes(tensors.ToJsonString().PadRight(header + 64));
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)text.Length), .. text, .. data.ToArray()]);
    }
}
