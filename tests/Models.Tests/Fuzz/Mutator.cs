using System.Buffers.Binary;
using System.Text;
using System.Text.Json.Nodes;

namespace Understory.Models.Tests.Fuzz;

/// <summary>
/// Damages files, the same way for a seed. A third of the damage knows nothing of formats, the rest goes for what parsers trust: counts,
/// offsets, JSON.
/// </summary>
internal sealed class Mutator(int seed)
{
    private static readonly ulong[] Numbers =
    [
        0, 1, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 20, 0x7FFFFFFE, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, 1UL << 40,
        0x7FFFFFFFFFFFFFF0, 0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFF8, ulong.MaxValue,
    ];

    private static readonly string[] Values =
    [
        "0", "-1", "1", "2147483647", "2147483648", "-2147483649", "9223372036854775807", "18446744073709551616", "1e400", "-1e308",
        "1e-400", "0.5",
        "null", "true", "false", "\"\"", "\"NaN\"", "\"\\u0000\"", "\"\\ud800\"", "[]", "{}", "[[]]", "[null]", "[0,0]",
        "[9223372036854775807,9223372036854775807]",
        "{\"type\":\"Sequence\"}", "\"(a+)+$\"", "\"(?<=a*)b\"", "\"\\uffff\"",
    ];

    private readonly Random _random = new(seed);

    /// <summary>
    /// A copy of <paramref name="bytes"/> with one to four damages, most of them in the first <paramref name="head"/> bytes.
    /// </summary>
    public byte[] Bytes(byte[] bytes, int head)
    {
        byte[] damaged = (byte[])bytes.Clone();
        for (int i = _random.Next(1, 5); i > 0 && damaged.Length > 0; i--)
        {
            int at = _random.Next(_random.Next(8) == 0 ? damaged.Length : Math.Min(head, damaged.Length));
            switch (_random.Next(8))
            {
                case 0:
                    damaged[at] ^= (byte)(1 << _random.Next(8));
                    break;
                case 1:
                    damaged[at] = (byte)_random.Next(256);
                    break;
                case 2 or 3 when at + 8 <= damaged.Length:
                    BinaryPrimitives.WriteUInt64LittleEndian(damaged.AsSpan(at), Number());
                    break;
                case 4 when at + 4 <= damaged.Length:
                    BinaryPrimitives.WriteUInt32LittleEndian(damaged.AsSpan(at), (uint)Number());
                    break;
                case 5:
                    damaged = damaged[..at];
                    break;
                case 6:
                    // A slice comes twice, or goes.
                    int length = Math.Min(_random.Next(1, 64), damaged.Length - at);
                    damaged = _random.Next(2) == 0
                        ? [.. damaged[..(at + length)], .. damaged[at..]] : [.. damaged[..at], .. damaged[(at + length)..]];
                    break;
                default:
                    damaged[at] = (byte)"\"{}[],:0-9eE\\ \0\xFF"[_random.Next(16)];
                    break;
            }
        }

        return damaged;
    }

    /// <summary>
    /// JSON text with one to three values, keys or texts changed; mostly still JSON, now and then with a key twice or nested out of all
    /// bounds.
    /// </summary>
    public string Json(string json)
    {
        JsonNode root = JsonNode.Parse(json)!;
        var nodes = new List<JsonNode>();
        Collect(root, nodes);
        string marker = $"\u0001{_random.Next()}";
        string? raw = null;
        for (int i = _random.Next(1, 4); i > 0; i--)
        {
            JsonNode node = nodes[_random.Next(nodes.Count)];
            switch (node.Parent)
            {
                case JsonObject parent when _random.Next(4) == 0:
                    string name = node.GetPropertyName();
                    parent.Remove(name);
                    if (_random.Next(2) == 0)
                    {
                        parent[name + "x"] = null;
                    }

                    break;
                case JsonObject parent:
                    Replace(value => parent[node.GetPropertyName()] = value);
                    break;
                case JsonArray parent when _random.Next(4) == 0:
                    parent.Add(node.DeepClone());
                    break;
                case JsonArray parent:
                    int index = node.GetElementIndex();
                    Replace(value => parent[index] = value);
                    break;
            }
        }

        string text = root.ToJsonString();
        text = raw is null ? text : text.Replace(JsonValue.Create(marker).ToJsonString(), raw, StringComparison.Ordinal);
        return _random.Next(20) == 0 && text.Contains(",\"", StringComparison.Ordinal) ? Twice(text) : text;

        void Replace(Func<JsonNode?, JsonNode?> set)
        {
            raw = Value();
            set(marker);
        }
    }

    /// <summary>Text with parts removed, doubled, or swapped for others of <paramref name="pieces"/>.</summary>
    public string Text(string text, IReadOnlyList<string> pieces)
    {
        var changed = new StringBuilder(text);
        for (int i = _random.Next(1, 6); i > 0 && changed.Length > 0; i--)
        {
            int at = _random.Next(changed.Length);
            int length = Math.Min(_random.Next(1, 30), changed.Length - at);
            switch (_random.Next(4))
            {
                case 0:
                    changed.Remove(at, length);
                    break;
                case 1:
                    changed.Insert(at, changed.ToString(at, length));
                    break;
                case 2:
                    changed.Insert(at, pieces[_random.Next(pieces.Count)]);
                    break;
                default:
                    changed.Length = at;
                    break;
            }
        }

        return changed.ToString();
    }

    private ulong Number() => Numbers[_random.Next(Numbers.Length)];

    private string Value() => _random.Next(12) switch
    {
        0 => new string('[', 5000) + new string(']', 5000),
        1 => string.Concat(Enumerable.Repeat("{\"a\":", 5000)) + "1" + new string('}', 5000),
        2 => $"\"{new string('a', 5000)}\"",
        3 => $"{_random.NextInt64()}",
        _ => Values[_random.Next(Values.Length)],
    };

    /// <summary>Some member again, with another value.</summary>
    private string Twice(string text)
    {
        int at = text.IndexOf(",\"", _random.Next(text.Length / 2), StringComparison.Ordinal);
        int colon = at < 0 ? -1 : text.IndexOf("\":", at, StringComparison.Ordinal);
        return colon < 0 ? text : text.Insert(at, $"{text.AsSpan(at, colon + 2 - at)}{Value()}");
    }

    private static void Collect(JsonNode? node, List<JsonNode> nodes)
    {
        if (node is null || nodes.Count > 20_000)
        {
            return;
        }

        nodes.Add(node);
        foreach (JsonNode? child in node switch
        {
            JsonObject members => members.Select(member => member.Value),
            JsonArray items =>
            items,
            _ => []
        })
        {
            Collect(child, nodes);
        }
    }
}
