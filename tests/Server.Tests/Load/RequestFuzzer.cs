using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Load;

/// <summary>A request as it goes out; <c>Body</c> null: none.</summary>
internal sealed record FuzzedRequest(string Method, string Path, string? ContentType, byte[]? Body)
{
    public override string ToString() => $"{Method} {Path} {ContentType}: "
        + $"{(Body is null ? "" : Encoding.UTF8.GetString(Body.AsSpan(0, Math.Min(Body.Length, 600))))}";
}

/// <summary>
/// Makes requests that an OpenAPI document describes, and spoils them: values of other types, numbers at the ends of their ranges, texts
/// that are none, members twice, bodies cut in the middle, other methods and paths. The same requests for a seed.
/// </summary>
internal sealed class RequestFuzzer
{
    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "-1", "1", "2", "0.5", "1e308", "-1e308", "1e999", "2147483648", "-9223372036854775809",
        "18446744073709551615", "1e-320",
        "\"\"", "\"x\"", "\"\\u0000\"", "\"\\ud800\"", "\"\\uffff\"", "\"none\"", "\"auto\"", "\"NaN\"", "\"../../etc/passwd\"", "\"%s%n\"",
        "\"{{ 1/0 }}\"", "\"<|im_end|>\"",
        "[]", "{}", "[[]]", "[null]", "[\"\"]", "[0]", "[-1]", "[4096]", "[1e9]", "[[0],[]]", "[{}]", "{\"type\":null}",
        "{\"type\":\"text\"}", "{\"a\":{\"$ref\":\"#\"}}", "{\"\":\"\"}",
        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "\"\\ud83d\\ude00\"", "{\"role\":\"tool\"}", "{\"0\":101}", "{\"-1\":1}",
    ];

    private static readonly string[] Numbers = [.. Values.Where(value => value[0] is '-' or (>= '0' and <= '9'))];

    private readonly JsonObject _document;
    private readonly List<(string Path, string Method, JsonObject Operation)> _operations = [];

    public RequestFuzzer(string openApi)
    {
        _document = JsonNode.Parse(openApi)!.AsObject();
        foreach ((string path, JsonNode? item) in _document["paths"]!.AsObject())
        {
            foreach ((string method, JsonNode? operation) in item!.AsObject())
            {
                if (method is "get" or "post" or "head" or "put" or "delete" or "patch")
                {
                    _operations.Add((path, method.ToUpperInvariant(), operation!.AsObject()));
                }
            }
        }
    }

    public int Operations => _operations.Count;

    public FuzzedRequest Make(int seed)
    {
        var random = new Random(seed);
        // Those that take a body have the more to get wrong.
        (string path, string method, JsonObject operation) = _operations[random.Next(_operations.Count)];
        while (operation["requestBody"] is null && random.Next(8) != 0)
        {
            (path, method, operation) = _operations[random.Next(_operations.Count)];
        }

        path = Filled(path, random);
        if (random.Next(25) == 0)
        {
            method = Pick(random, ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "BREW"]);
        }

        if (operation["requestBody"]?["content"]?["application/json"]?["schema"] is not { } schema)
        {
            return new FuzzedRequest(method, path, null, null);
        }

        JsonNode? value = Sample(schema, random, 0);
        string text = Spoil(value, random);
        byte[] body = Encoding.UTF8.GetBytes(text);
        string type = random.Next(40) == 0
            ? Pick(random,
                ["text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data", "x"]) : "application/json";
        if (random.Next(12) == 0)
        {
            body = Cut(body, random);
        }

        return new FuzzedRequest(method, path, type, method is "GET" or "HEAD" ? null : body);
    }

    /// <summary>Keeps what happens to be valid from taking minutes.</summary>
    private static void Shorten(JsonObject body, Random random)
    {
        foreach (string name in (string[])["max_tokens", "max_completion_tokens", "max_output_tokens"])
        {
            body[name] = random.Next(3);
        }

        body["n"] = random.Next(4) == 0 ? JsonNode.Parse(Pick(random, Numbers)) : 1;
        body["best_of"] = random.Next(8) == 0 ? random.Next(-1, 3) : null;
    }

    private static string Spoil(JsonNode? value, Random random)
    {
        if (value is not JsonObject body)
        {
            return value?.ToJsonString() ?? "null";
        }

        Shorten(body, random);
        var raw = new Dictionary<string, string>();
        for (int i = random.Next(4); i > 0; i--)
        {
            var places = new List<(JsonNode Parent, string Key)>();
            Places(body, places);
            (JsonNode parent, string key) = places[random.Next(places.Count)];
            string marker = $"\u0001{i}";
            raw[JsonValue.Create(marker).ToJsonString()] = Value(random);
            if (parent is JsonObject members && key is not ("max_tokens" or "max_completion_tokens" or "max_output_tokens"))
            {
                members[key] = marker;
            }
            else if (parent is JsonArray items)
            {
                items[int.Parse(key, CultureInfo.InvariantCulture)] = marker;
            }
        }

        string text = raw.Aggregate(body.ToJsonString(), (json, pair) => json.Replace(pair.Key, pair.Value, StringComparison.Ordinal));
        if (random.Next(30) == 0)
        {
            // A member twice, the second time otherwise.
            text = text.Insert(text.Length - 1, $",\"{Pick(random, [.. body.Select(member => member.Key)])}\":{Value(random)}");
        }

        return random.Next(60) == 0
            ? Pick(random, ["", "[]", "null", "\uFEFF{}", "{", "{}{}", new string('[', 3000), "\"x\"", "{\"prompt\":\"\u0000\"}"]) : text;
    }

    private static string Value(Random random) => random.Next(25) switch
    {
        0 => $"\"{new string('a', 5000)}\"",
        1 => string.Concat(Enumerable.Repeat("{\"a\":", 60)) + "1" + new string('}', 60),
        2 => string.Concat(Enumerable.Repeat("[", 70)) + new string(']', 70),
        3 => "[" + string.Join(',', Enumerable.Repeat("\"x\"", 200)) + "]",
        _ => Values[random.Next(Values.Length)],
    };

    private static byte[] Cut(byte[] body, Random random)
    {
        if (body.Length == 0)
        {
            return body;
        }

        byte[] changed = (byte[])body.Clone();
        switch (random.Next(3))
        {
            case 0:
                return changed[..random.Next(changed.Length)];
            case 1:
                changed[random.Next(changed.Length)] = (byte)random.Next(256);
                return changed;
            default:
                changed[random.Next(changed.Length)] ^= (byte)(1 << random.Next(8));
                return changed;
        }
    }

    private static string Filled(string path, Random random)
    {
        while (path.IndexOf('{') is >= 0 and int open)
        {
            int close = path.IndexOf('}', open);
            path = path[..open]
                + Pick(random, ["demo", "understory-demo", "x", "..", "%00", "%2e%2e%2f", "a%2Fb", new string('a', 300), "%F0%9F%98%80"])
                + path[(close + 1)..];
        }

        return random.Next(30) == 0 ? path + Pick(random, ["/", "//x", "?a=b", "?model=%ff", "/../..", ";x"]) : path;
    }

    /// <summary>Something that the schema describes, more or less.</summary>
    private JsonNode? Sample(JsonNode schema, Random random, int depth)
    {
        if (schema is not JsonObject rules || depth > 6)
        {
            return "x";
        }

        if ((string?)rules["$ref"] is { } reference)
        {
            JsonNode target = reference.TrimStart('#', '/').Split('/').Aggregate((JsonNode)_document, (node, name) => node[name]!);
            return Sample(target, random, depth + 1);
        }

        foreach (string several in (string[])["oneOf", "anyOf", "allOf"])
        {
            if (rules[several] is JsonArray choices && choices.Count > 0)
            {
                return Sample(choices[random.Next(choices.Count)]!, random, depth + 1);
            }
        }

        if (rules["enum"] is JsonArray values)
        {
            return values[random.Next(values.Count)]?.DeepClone();
        }

        if (rules["const"] is { } constant)
        {
            return constant.DeepClone();
        }

        string type = rules["type"] is JsonArray types ? (string)types[random.Next(types.Count)]! : (string?)rules["type"]
            ?? (rules["properties"] is null ? "string" : "object");
        switch (type)
        {
            case "object":
                var members = new JsonObject();
                string[] required = [.. (rules["required"] as JsonArray ?? []).Select(name => (string)name!)];
                foreach ((string name, JsonNode? member) in rules["properties"] as JsonObject ?? [])
                {
                    if (required.Contains(name) || random.Next(depth == 0 ? 6 : 2) == 0)
                    {
                        members[name] = Sample(member!, random, depth + 1);
                    }
                }

                return members;
            case "array":
                var items = new JsonArray();
                for (int i = random.Next(1, 3); i > 0; i--)
                {
                    items.Add(rules["items"] is { } item ? Sample(item, random, depth + 1) : "x");
                }

                return items;
            case "integer":
                return random.Next(0, 5);
            case "number":
                return random.Next(0, 3) / 2.0;
            case "boolean":
                return random.Next(2) == 0;
            case "null":
                return null;
            default:
                return Pick(random, ["x", "def f():", "user", "text", "auto", "\u00E9\u4E2D\U0001F600", ""]);
        }
    }

    private static void Places(JsonNode node, List<(JsonNode, string)> places)
    {
        if (node is JsonObject members)
        {
            foreach ((string name, JsonNode? value) in members)
            {
                places.Add((node, name));
                if (value is not null)
                {
                    Places(value, places);
                }
            }
        }
        else if (node is JsonArray items)
        {
            for (int i = 0; i < items.Count; i++)
            {
                places.Add((node, i.ToString(CultureInfo.InvariantCulture)));
                if (items[i] is { } value)
                {
                    Places(value, places);
                }
            }
        }
    }

    private static string Pick(Random random, string[] from) => from[random.Next(from.Length)];
}
