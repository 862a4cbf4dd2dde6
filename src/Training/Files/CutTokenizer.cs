using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Tokenizers;

namespace Understory.Training.Files;

/// <summary>A tokenizer of which tokens were left out, as the files of a model hold it.</summary>
/// <param name="EndIds">Of the tokens that end a text.</param>
/// <param name="BosId">Of the token that begins one.</param>
/// <param name="Keys">Of a GGUF file; null in a folder.</param>
/// <param name="Json">The tokenizer.json of a folder; null in a GGUF file.</param>
internal sealed record CutTokenizer(
    Tokenizer Tokenizer, IReadOnlyList<int> EndIds, int? BosId, IReadOnlyDictionary<string, object>? Keys, byte[]? Json);

/// <summary>Leaves tokens out of a tokenizer: what they were written with stays, and merges that make nothing any more go.</summary>
internal abstract class TokenizerCutter
{
    /// <summary>The tokens that there are.</summary>
    public abstract IEnumerable<int> Ids { get; }

    /// <summary>What a text cannot be written without: special and added tokens.</summary>
    public abstract bool IsSpecial(int id);

    /// <param name="kept">Ids in ascending order; each token's new one is its place.</param>
    public abstract CutTokenizer Cut(int[] kept);

    /// <param name="path">The model's folder or GGUF file.</param>
    /// <returns>Null: this kind of tokenizer cannot be cut.</returns>
    public static TokenizerCutter? Of(string path, ModelConfig config)
    {
        if (File.Exists(path))
        {
            return new GgufCutter(path);
        }

        JsonNode? json = JsonNode.Parse(File.ReadAllBytes(Path.Combine(path, "tokenizer.json")));
        return json?["model"]?["merges"] is JsonArray && json["model"]!["vocab"] is JsonObject ? new JsonCutter(json, config) : null;
    }

    /// <summary>Both halves and what they make are left.</summary>
    private static bool Possible(string first, string second, HashSet<string> left) =>
        left.Contains(first) && left.Contains(second) && left.Contains(first + second);

    /// <param name="merge">Both halves with a blank between; the first may begin with one.</param>
    private static bool Possible(string merge, HashSet<string> left)
    {
        int blank = merge.IndexOf(' ', 1);
        return blank > 0 && Possible(merge[..blank], merge[(blank + 1)..], left);
    }

    private sealed class GgufCutter : TokenizerCutter
    {
        private const string Prefix = "tokenizer.ggml.";
        private const long UnusedType = 5;
        private const long NormalType = 1;

        private readonly string _path;
        private readonly Dictionary<string, object> _keys;
        private readonly string[] _texts;
        private readonly long[] _types;

        public GgufCutter(string path)
        {
            using Gguf file = Gguf.Open(path);
            _path = path;
            _keys = file.Metadata.Values.Where(pair => pair.Key.StartsWith("tokenizer.", StringComparison.Ordinal)).ToDictionary();
            _texts = file.Metadata.Get<string[]>(Prefix + "tokens");
            _types = file.Metadata.Get(Prefix + "token_type", Array.Empty<long>());
        }

        public override IEnumerable<int> Ids => Enumerable.Range(0, _texts.Length);

        public override bool IsSpecial(int id) => id < _types.Length && _types[id] is not (NormalType or UnusedType);

        public override CutTokenizer Cut(int[] kept)
        {
            HashSet<string> left = [.. kept.Select(id => _texts[id])];
            var keys = new Dictionary<string, object>();
            foreach ((string key, object value) in _keys)
            {
                switch (value)
                {
                    case string[] merges when key == Prefix + "merges":
                        keys[key] = Array.FindAll(merges, merge => Possible(merge, left));
                        break;
                    case string[] all when all.Length == _texts.Length:
                        keys[key] = Array.ConvertAll(kept, id => all[id]);
                        break;
                    case long[] all when all.Length == _texts.Length:
                        keys[key] = Array.ConvertAll(kept, id => all[id]);
                        break;
                    case double[] all when all.Length == _texts.Length:
                        keys[key] = Array.ConvertAll(kept, id => all[id]);
                        break;
                    case long id when key.EndsWith("_token_id", StringComparison.Ordinal):
                        if (Array.BinarySearch(kept, (int)id) is >= 0 and var place)
                        {
                            keys[key] = (long)place;
                        }

                        break;
                    default:
                        keys[key] = value;
                        break;
                }
            }

            var vocabulary = GgufVocabulary.Read(new GgufMetadata(_path, keys));
            return new CutTokenizer(Tokenizer.FromGguf(vocabulary), vocabulary.EndIds, vocabulary.BosId, keys, null);
        }
    }

    private sealed class JsonCutter(JsonNode json, ModelConfig config) : TokenizerCutter
    {
        private static readonly JsonSerializerOptions AsItIs = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

        private readonly Dictionary<int, string> _texts =
            json["model"]!["vocab"]!.AsObject().ToDictionary(pair => pair.Value!.GetValue<int>(), pair => pair.Key);

        private readonly HashSet<int> _added =
            [.. (json["added_tokens"] as JsonArray ?? []).Select(token => token!["id"]!.GetValue<int>())];

        public override IEnumerable<int> Ids =>
            _texts.Keys.Union(_added).Where(id => id < config.VocabularySize).Order();

        public override bool IsSpecial(int id) => _added.Contains(id);

        public override CutTokenizer Cut(int[] kept)
        {
            HashSet<string> left = [.. kept.Where(_texts.ContainsKey).Select(id => _texts[id])];
            int Place(int id) => Array.BinarySearch(kept, id);
            JsonObject cut = json.DeepClone().AsObject();
            cut["model"]!["vocab"] = new JsonObject(kept.Where(_texts.ContainsKey)
                .Select(id => KeyValuePair.Create(_texts[id], (JsonNode?)Place(id))));
            cut["model"]!["merges"] = new JsonArray([.. json["model"]!["merges"]!.AsArray().Where(merge => IsPossible(merge!, left))
                .Select(merge => merge!.DeepClone())]);
            cut["added_tokens"] = new JsonArray([.. (json["added_tokens"] as JsonArray ?? []).Where(token => Place(IdOf(token)) >= 0)
                .Select(token => Moved(token!, Place(IdOf(token))))]);
            // What begins a text is told in ids, and the draft's texts are the model's.
            cut["post_processor"] = null;
            byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(cut, AsItIs);
            return new CutTokenizer(
                Tokenizer.Parse(bytes, "tokenizer.json"),
                [.. config.EosTokenIds.Select(Place).Where(place => place >= 0)],
                config.BosTokenId is { } first && Place(first) is >= 0 and var begin ? begin : null,
                null,
                bytes);
        }

        private static int IdOf(JsonNode? token) => token!["id"]!.GetValue<int>();

        private static JsonNode Moved(JsonNode token, int id)
        {
            JsonNode moved = token.DeepClone();
            moved["id"] = id;
            return moved;
        }

        /// <summary>Merges are written as <c>"a b"</c> or <c>["a", "b"]</c>.</summary>
        private static bool IsPossible(JsonNode merge, HashSet<string> left) => merge is JsonArray pair
            ? Possible(pair[0]!.GetValue<string>(), pair[1]!.GetValue<string>(), left)
            : Possible(merge.GetValue<string>(), left);
    }
}
