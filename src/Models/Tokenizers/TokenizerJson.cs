using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Understory.Models.Tokenizers;

/// <summary>
/// Reads a tokenizer.json. Vocabulary and merges, nearly all of the file, are streamed; the rest is small and is read by
/// <see cref="TokenizerJsonSteps"/>. Nothing unknown is passed over where it could change tokens.
/// </summary>
internal static class TokenizerJson
{
    public static TokenizerParts Read(ReadOnlySpan<byte> json, string source)
    {
        try
        {
            return ReadFile(json, source);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{source}: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            // What the JSON reader says of escaped surrogates without their other half.
            throw new InvalidDataException($"{source}: some text is not well-formed: {e.Message}", e);
        }
    }

    private static TokenizerParts ReadFile(ReadOnlySpan<byte> json, string source)
    {
        json = json.StartsWith("\uFEFF"u8) ? json[3..] : json;
        var fields = new Dictionary<string, JsonField>();
        ModelFields? found = null;
        var reader = new Utf8JsonReader(json);
        Expect(ref reader, JsonTokenType.StartObject, source, "");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            if (name == "model")
            {
                found = ReadModel(ref reader, json, source);
            }
            else
            {
                fields[name] = new JsonField(source, name, JsonElement.ParseValue(ref reader));
            }
        }

        Finish(ref reader);
        ModelFields model = found ?? throw new InvalidDataException($"{source}: model: missing");
        JsonField Top(string name) => fields.GetValueOrDefault(name, new JsonField(source, name, default));
        IReadOnlyList<AddedToken> added = ReadAddedTokens(Top("added_tokens"), model.Vocabulary, IdLimit(json));

        bool byteLevel = TokenizerJsonSteps.IsByteLevel(Top("pre_tokenizer"));
        var parts = new TokenizerParts
        {
            Vocabulary = model.Vocabulary,
            Merges = model.Merges,
            Encoding = ReadOptions(model, byteLevel),
            AddedTokens = added,
            Normalizer = TokenizerJsonSteps.Normalizer(Top("normalizer")),
            PreTokenizer = TokenizerJsonSteps.PreTokenizer(Top("pre_tokenizer"), writesBytes: !byteLevel),
            Decoder = TokenizerJsonSteps.Decoder(Top("decoder")),
        };
        return TokenizerJsonSteps.PostProcess(Top("post_processor"), parts);
    }

    private static ModelFields ReadModel(ref Utf8JsonReader reader, ReadOnlySpan<byte> json, string source)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new InvalidDataException($"{source}: model: expected an object");
        }

        var model = new ModelFields(source);
        int vocabularyAt = -1;
        int mergesAt = -1;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            reader.Read();
            if (name == "vocab")
            {
                vocabularyAt = (int)reader.TokenStartIndex;
                reader.Skip();
            }
            else if (name == "merges")
            {
                mergesAt = (int)reader.TokenStartIndex;
                reader.Skip();
            }
            else
            {
                model.Fields[name] = new JsonField(source, $"model.{name}", JsonElement.ParseValue(ref reader));
            }
        }

        // A type that is named tells more than the fields that it lacks.
        JsonField type = model["type"];
        if (!type.IsNull && type.Text() != "BPE")
        {
            throw type.Fail($"the model {type.Text()} is not supported, only BPE");
        }

        if (vocabularyAt < 0 || mergesAt < 0)
        {
            throw new InvalidDataException($"{source}: model.{(vocabularyAt < 0 ? "vocab" : "merges")}: missing");
        }

        ReadVocabulary(json[vocabularyAt..], model.Vocabulary, IdLimit(json), source);
        ReadMerges(json[mergesAt..], model, source);
        return model;
    }

    /// <summary>
    /// Ids from here on are refused: a file names a token in five bytes at least, so that honest ids, which have few gaps, lie far below
    /// its length, and tables by id stay in proportion to it.
    /// </summary>
    private static int IdLimit(ReadOnlySpan<byte> json) => (int)Math.Clamp(json.Length, 1L << 14, Vocabulary.IdLimit);

    private static void ReadVocabulary(ReadOnlySpan<byte> json, Vocabulary vocabulary, int limit, string source)
    {
        const string Path = "model.vocab";
        var reader = new Utf8JsonReader(json, isFinalBlock: false, default);
        Expect(ref reader, JsonTokenType.StartObject, source, Path);
        var text = new byte[256];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            int length = CopyText(ref reader, ref text, source, Path);
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out int id) || id < 0 || id >= limit)
            {
                throw new InvalidDataException(
                    $"{source}: {Path}: the id of '{Shown(text.AsSpan(0, length))}' is not an integer from 0 to {limit - 1}");
            }

            if (!vocabulary.TryAdd(text.AsSpan(0, length), id))
            {
                throw new InvalidDataException($"{source}: {Path}: '{Shown(text.AsSpan(0, length))}' or its id {id} is there twice");
            }
        }
    }

    /// <summary>Merges are written "left right" or ["left", "right"].</summary>
    private static void ReadMerges(ReadOnlySpan<byte> json, ModelFields model, string source)
    {
        const string Path = "model.merges";
        var reader = new Utf8JsonReader(json, isFinalBlock: false, default);
        Expect(ref reader, JsonTokenType.StartArray, source, Path);
        var left = new byte[256];
        var right = new byte[256];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.String)
            {
                int length = CopyText(ref reader, ref left, source, Path);
                ReadOnlySpan<byte> pair = left.AsSpan(0, length);
                int blank = pair.IndexOf((byte)' ');
                if (blank <= 0 || blank == length - 1 || pair[(blank + 1)..].Contains((byte)' '))
                {
                    throw new InvalidDataException($"{source}: {Path}[{model.Merges.Count}]: '{Shown(pair)}' is not two tokens");
                }

                model.AddMerge(pair[..blank], pair[(blank + 1)..]);
                continue;
            }

            bool isArray = reader.TokenType == JsonTokenType.StartArray;
            int leftLength = isArray && reader.Read() && reader.TokenType == JsonTokenType.String
                ? CopyText(ref reader, ref left, source, Path) : 0;
            int rightLength = isArray && reader.Read() && reader.TokenType == JsonTokenType.String
                ? CopyText(ref reader, ref right, source, Path) : 0;
            if (leftLength == 0 || rightLength == 0 || !reader.Read() || reader.TokenType != JsonTokenType.EndArray)
            {
                throw new InvalidDataException($"{source}: {Path}[{model.Merges.Count}]: expected two tokens");
            }

            model.AddMerge(left.AsSpan(0, leftLength), right.AsSpan(0, rightLength));
        }
    }

    private static BytePairOptions ReadOptions(ModelFields model, bool byteLevel)
    {
        if (!model["dropout"].IsNull && model["dropout"].Element is not { ValueKind: JsonValueKind.Number } dropout)
        {
            throw model["dropout"].Fail("expected a number");
        }

        if (!model["dropout"].IsNull && model["dropout"].Element.GetDouble() != 0)
        {
            throw model["dropout"].Fail("dropout is not supported: it would make encodings random");
        }

        foreach (string name in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (!string.IsNullOrEmpty(model[name].TextOrNull()))
            {
                throw model[name].Fail("not supported");
            }
        }

        int? unknown = null;
        if (model["unk_token"].TextOrNull() is string text)
        {
            unknown = model.Vocabulary.TryFind(text, out int id) ? id : throw model["unk_token"].Fail($"'{text}' is not in the vocabulary");
        }

        return new BytePairOptions(
            byteLevel, model["byte_fallback"].Flag(false), unknown, model["fuse_unk"].Flag(false), model["ignore_merges"].Flag(false));
    }

    private static List<AddedToken> ReadAddedTokens(JsonField field, Vocabulary vocabulary, int limit)
    {
        var tokens = new List<AddedToken>();
        if (field.IsNull)
        {
            return tokens;
        }

        foreach (JsonField item in field.Items())
        {
            string content = item["content"].Text();
            int id = item["id"].Int();
            if (id < 0 || id >= limit)
            {
                throw item["id"].Fail($"{id} is not from 0 to {limit - 1}");
            }

            byte[] utf8 = Encoding.UTF8.GetBytes(content);
            bool isKnown = vocabulary.TryFind(utf8, out int known);
            if (isKnown ? known != id : !vocabulary.TryAdd(utf8, id))
            {
                throw item.Fail($"'{content}' has the id {id}, but the vocabulary disagrees");
            }

            bool special = item["special"].Flag(false);
            tokens.Add(new AddedToken(
                id, content, item["lstrip"].Flag(false), item["rstrip"].Flag(false), item["normalized"].Flag(!special),
                item["single_word"].Flag(false), special));
        }

        return tokens;
    }

    private static int CopyText(ref Utf8JsonReader reader, ref byte[] buffer, string source, string path)
    {
        if (buffer.Length < reader.ValueSpan.Length)
        {
            buffer = new byte[reader.ValueSpan.Length * 2];
        }

        try
        {
            if (reader.ValueIsEscaped)
            {
                return reader.CopyString(buffer);
            }

            reader.ValueSpan.CopyTo(buffer);
            return Utf8.IsValid(reader.ValueSpan) ? reader.ValueSpan.Length : throw new InvalidOperationException();
        }
        catch (InvalidOperationException)
        {
            throw new InvalidDataException($"{source}: {path}: text at byte {reader.TokenStartIndex} is not well-formed");
        }
    }

    private static void Expect(ref Utf8JsonReader reader, JsonTokenType type, string source, string path)
    {
        if (!reader.Read() || reader.TokenType != type)
        {
            string kind = type == JsonTokenType.StartObject ? "an object" : "an array";
            throw new InvalidDataException($"{source}: {(path.Length == 0 ? "" : path + ": ")}expected {kind}");
        }
    }

    /// <summary>Reads on to the end, so that what follows the value is found broken too.</summary>
    private static void Finish(ref Utf8JsonReader reader)
    {
        while (reader.Read())
        {
        }
    }

    /// <summary>A text for an error message: its beginning.</summary>
    private static string Shown(ReadOnlySpan<byte> text) => Encoding.UTF8.GetString(text[..Math.Min(text.Length, 60)]);

    /// <summary>The fields of "model" while they are read.</summary>
    private sealed class ModelFields(string source)
    {
        private byte[] _merged = new byte[256];

        public Vocabulary Vocabulary { get; } = new();

        public List<Merge> Merges { get; } = [];

        public Dictionary<string, JsonField> Fields { get; } = [];

        public JsonField this[string name] => Fields.GetValueOrDefault(name, new JsonField(source, $"model.{name}", default));

        public void AddMerge(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
        {
            if (_merged.Length < left.Length + right.Length)
            {
                _merged = new byte[(left.Length + right.Length) * 2];
            }

            left.CopyTo(_merged);
            right.CopyTo(_merged.AsSpan(left.Length));
            ReadOnlySpan<byte> merged = _merged.AsSpan(0, left.Length + right.Length);
            Merges.Add(new Merge(Find(left), Find(right), Find(merged), Merges.Count));
        }

        private int Find(ReadOnlySpan<byte> token) => Vocabulary.TryFind(token, out int id)
            ? id
            : throw new InvalidDataException($"{source}: model.merges[{Merges.Count}]: '{Shown(token)}' is not in the vocabulary");
    }
}
