using System.Diagnostics;
using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;

namespace Understory.Benchmarks;

/// <summary>
/// What compiling hostile forms costs until they are refused or done: seconds of the processor, and units of work as
/// <see cref="GrammarBudget"/> counts them. No kind may take much more than the others for its units.
/// </summary>
internal static class FormBench
{
    private const string Tree = """{"type":"object","properties":{"k":{"$ref":"#/$defs/t"},"l":{"$ref":"#/$defs/t"}},"required":["k"]}""";

    private static readonly (string Name, Func<int, string> Schema, int[] Sizes)[] _schemas =
    [
        ("oneOf constants", n => Of("oneOf", n, i => $$"""{"const":"c{{i}}"}"""), [2_000, 10_000, 100_000]),
        ("oneOf long constants", n => Of("oneOf", n, i => $$"""{"const":"{{new string('x', 200)}}{{i}}"}"""), [2_000, 10_000, 30_000]),
        ("anyOf constants beside a type", n => Of("anyOf", n, i => $$"""{"const":"c{{i}}","description":"d"}""", "\"type\":\"string\","),
            [2_000, 10_000, 50_000]),
        ("oneOf objects told by a constant", n => Of("oneOf", n, i =>
            $$"""{"type":"object","properties":{"k":{"const":{{i}}},"v":{"type":"integer"} },"required":["k"]}"""), [500, 2_000, 9_000]),
        ("oneOf objects told pair by pair", n => Of("oneOf", n, i =>
            $$"""{"type":"object","properties":{"a":{"minimum":1},"p{{i}}":{"const":1} },"required":["a","p{{i}}"],"""
                + "\"additionalProperties\":false}"),
            [300, 1_000, 4_000]),
        ("anyOf objects", n => Of("anyOf", n, i => $$"""{"type":"object","properties":{"p{{i}}":{"type":"string"},"q":{} } }"""),
            [500, 2_000, 9_000]),
        ("anyOf patterns", n => Of("anyOf", n, i => $$"""{"type":"string","pattern":"^a{{i}}[a-z]*b{{i}}$"}"""), [50, 300, 2_000]),
        ("required", n => $$"""{"type":"object","required":[{{List(n, i => $"\"p{i}\"")}}]}""", [1_000, 5_000, 100_000]),
        ("properties", n => $$"""{"properties":{ {{List(n, i => $"\"p{i}\":{{\"type\":\"integer\"}}")}} } }""", [1_000, 5_000, 50_000]),
        ("properties of all kinds", n => $$"""{"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"type\":\"string\",\"maxLength\":{i % 90}}}")}} },"additionalProperties":{"type":"number","minimum":0.5} }""",
            [300, 3_000, 30_000]),
        ("properties beside others", n => $$"""{"properties":{ {{List(n, i =>
            $"\"{i * 7919L}\":{{\"type\":\"integer\"}}")}} },"additionalProperties":{} }""", [300, 3_000, 30_000]),
        ("allOf of objects", n => Of("allOf", n, i => $$"""{"properties":{"a":{"minimum":{{i}}},"p{{i}}":{"type":"integer"} } }"""),
            [100, 1_000, 10_000]),
        ("allOf nested", n => string.Concat(Enumerable.Repeat("{\"allOf\":[", n)) + "{}" + string.Concat(Enumerable.Repeat("]}", n)),
            [20, 60]),
        ("allOf of anyOf", n => Of("allOf", n, i => $$"""{"anyOf":[{"minimum":{{i}}},{"maximum":{{100 - i}}}]}"""), [8, 12, 16]),
        ("allOf of patterns", n => Of("allOf", n, i => $$"""{"type":"string","pattern":"{{(char)('a' + (i % 26))}}"}"""), [4, 10, 24]),
        ("references in a row", n => $$"""{"$ref":"#/$defs/d0","$defs":{ {{List(n, i =>
            $"\"d{i}\":{{\"$ref\":\"#/$defs/d{i + 1}\"}}")}},"d{{n}}":{"type":"null"} } }""", [100, 1_000, 20_000]),
        ("references side by side", n => $$"""{"$defs":{"t":{{Tree}}},"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"$ref\":\"#/$defs/t\"}}")}} } }""", [500, 5_000, 30_000]),
        ("definitions that call each other", n => $$"""{"$ref":"#/$defs/d0","$defs":{ {{List(n, i =>
            $"\"d{i}\":{{\"properties\":{{\"a\":{{\"$ref\":\"#/$defs/d{(i + 1) % n}\"}},"
                + $"\"b\":{{\"$ref\":\"#/$defs/d{i * 7 % n}\"}}}}}}")}} } }""",
            [300, 3_000, 9_000]),
        ("prefixItems", n => $$"""{"prefixItems":[{{List(n, _ => "{\"type\":\"integer\"}")}}]}""", [500, 5_000, 100_000]),
        ("prefixItems of all kinds", n => $$"""{"prefixItems":[{{List(n, i => $"{{\"type\":\"string\",\"maxLength\":{i % 500}}}")}}]}""",
            [100, 1_000, 10_000]),
        ("maxItems nested", n => string.Concat(Enumerable.Repeat($"{{\"type\":\"array\",\"maxItems\":{n},\"items\":", 4))
            + """{"type":"string","maxLength":2000}""" + "}}}}", [10, 100, 1_000]),
        ("maxItems of objects", n => $$"""{"type":"array","maxItems":{{n}},"items":{"properties":{ {{List(30, i =>
            $"\"p{i}\":{{\"type\":\"string\",\"maxLength\":20}}")}} } } }""", [10, 100, 1_000]),
        ("maxLength everywhere", n => $$"""{"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"type\":\"string\",\"maxLength\":{2000 - i}}}")}} } }""", [5, 30, 300]),
        ("enum", n => $$"""{"enum":[{{List(n, i => $"\"{i * 7919L}\"")}}]}""", [2_000, 10_000, 200_000]),
        ("enum of numbers with bounds", n => $$"""{"type":"number","minimum":0.5,"enum":[{{List(n, i => $"{i}.25")}}]}""",
            [2_000, 10_000, 200_000]),
        ("enum beside a pattern", n => $$"""{"type":"string","pattern":"[13579]","enum":[{{List(n, i => $"\"{i * 7919L}\"")}}]}""",
            [2_000, 10_000, 200_000]),
        ("enum of objects", n => $$"""{"enum":[{{List(n, i => $"{{\"a\":[{i},{{\"b\":{i}}}],\"c\":\"{i}\"}}")}}]}""",
            [1_000, 10_000, 50_000]),
        ("enum in two parts", n => $$"""{"allOf":[{"enum":[{{List(n, i => $"\"{i}\"")}}]},{"enum":[{{List(n, i => $"\"{i * 2}\"")}}]}]}""",
            [2_000, 20_000, 100_000]),
        ("one object of many keys as a constant", n => $$"""{"const":{ {{List(n, i => $"\"k{i}\":{i}")}} } }""", [1_000, 20_000, 200_000]),
        ("bounds", n => $$"""{"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"type\":\"integer\",\"minimum\":{i},\"maximum\":{i * 1237L}}}")}} } }""", [100, 1_000, 10_000]),
        ("decimal bounds", n => $$"""{"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"type\":\"number\",\"minimum\":{i}.123456789,\"maximum\":{i * 1237L}.987654321}}")}} } }""", [10, 100, 1_000]),
        ("long bounds", n => $$"""{"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"type\":\"number\",\"minimum\":{new string('7', 390)}.{new string('3', 390 - i)}}}")}} } }""", [1, 4, 30]),
        ("formats", n => $$"""{"properties":{ {{List(n, i =>
            $"\"p{i}\":{{\"type\":\"string\",\"format\":\"{(i % 2 == 0 ? "ipv6" : "date-time")}\",\"maxLength\":{i + 10}}}")}} } }""",
            [4, 30, 200]),
    ];

    private static readonly (string Name, Func<int, Grammar> Grammar, int[] Sizes)[] _grammars =
    [
        ("regex of classes", n => Grammar.Regex(string.Concat(Enumerable.Range(0, n).Select(i => $"[a-{(char)('b' + (i % 20))}]*x"))),
            [100, 500, 1_900]),
        ("regex of categories", n => Grammar.Regex($"(\\p{{L}}|\\p{{N}}|\\p{{P}}){{{n}}}"), [30, 300, 2_000]),
        ("regex of complements", n => Grammar.Regex(string.Concat(Enumerable.Repeat("[^\\p{L}\\d]", n))), [30, 300, 1_500]),
        ("regex with a window", n => Grammar.Regex($"(a|b)*a(a|b){{{n}}}"), [8, 12, 16, 40]),
        ("regex of counted groups", n => Grammar.Regex($"((a{{0,{n}}}b){{0,{n}}}c){{0,{n}}}"), [10, 30, 80]),
        ("regex of counted dots", n => Grammar.Regex($"(.{{0,{n}}}x){{0,{n}}}"), [30, 100, 400]),
        ("regex of optional parts", n => Grammar.Regex(string.Concat(
            Enumerable.Range(0, n).Select(i => $"({(char)('a' + (i % 26))}{i})?"))),
            [100, 1_000, 2_500]),
        ("regex of words", n => Grammar.Regex(List(n, i => $"w{i * 7919L % 100_003}", '|')), [300, 3_000]),
        ("regex of empty groups", n => Grammar.Regex($"((){{{n}}}a){{{n}}}"), [100, 1_000, 3_000]),
        ("text without a long word", n => Grammar.TextWithout(new string('a', n) + "b"), [10, 100, 2_000]),
        ("GBNF of many rules", n => Grammar.Gbnf("root ::= r0\n" + List(n, i =>
            $"r{i} ::= \"a{i}\" r{(i + 1) % n}? | \"b\" r{i * 31 % n}", '\n')),
            [300, 3_000, 9_000]),
        ("GBNF of nested brackets", n => Grammar.Gbnf($"root ::= {new string('(', n)}\"a\"{new string(')', n)}"), [100, 1_000]),
        ("GBNF ambiguous", n => Grammar.Gbnf($"root ::= x{{{n}}}\nx ::= \"a\" x \"b\" | \"a\" x | \"a\"? | \"ab\" root?"), [4, 30, 300]),
    ];

    /// <param name="only">Part of the names of those that are run; null: all.</param>
    public static void Run(string path, string? only)
    {
        Tokenizer tokenizer = Tokenizer.Load(path);
        foreach (bool warm in (bool[])[false, true])
        {
            foreach ((string name, Func<int, string> schema, int[] sizes) in _schemas)
            {
                foreach (int size in warm ? sizes : sizes[..1])
                {
                    using JsonDocument document = JsonDocument.Parse(schema(size), new JsonDocumentOptions { MaxDepth = 1_000 });
                    Measure(name, size, budget => Grammar.JsonSchema(document.RootElement, budget: budget), tokenizer, only, warm);
                }
            }

            foreach ((string name, Func<int, Grammar> grammar, int[] sizes) in _grammars)
            {
                foreach (int size in warm ? sizes : sizes[..1])
                {
                    Measure(name, size, _ => grammar(size), tokenizer, only, warm);
                }
            }
        }
    }

    private static void Measure(
        string name, int size, Func<GrammarBudget, Grammar> grammar, Tokenizer tokenizer, string? only, bool told)
    {
        if (only is not null && !name.Contains(only, StringComparison.Ordinal))
        {
            return;
        }

        var budget = new GrammarBudget();
        string outcome = "compiled";
        GC.Collect();
        long bytes = GC.GetTotalAllocatedBytes();
        TimeSpan start = Process.GetCurrentProcess().TotalProcessorTime;
        long clock = Stopwatch.GetTimestamp();
        try
        {
            _ = Constraint.Compile(grammar(budget), tokenizer, budget);
        }
        catch (GrammarException refusal)
        {
            outcome = refusal.Message.Length > 70 ? refusal.Message[..70] + "…" : refusal.Message;
        }

        double seconds = (Process.GetCurrentProcess().TotalProcessorTime - start).TotalSeconds;
        if (told)
        {
            double passed = Stopwatch.GetElapsedTime(clock).TotalSeconds;
            Console.WriteLine($"{name,-40} {size,7}: {seconds,6:F2} s of the processor, {passed,6:F2} s,"
                + $" {budget.Done / 1e6,6:F1} M units, {seconds * 1e9 / Math.Max(1, budget.Done),7:F1} ns each, "
                + $"{(GC.GetTotalAllocatedBytes() - bytes) >> 20,5} MB: {outcome}");
        }
    }

    private static string Of(string keyword, int count, Func<int, string> item, string before = "") =>
        $"{{{before}\"{keyword}\":[{List(count, item)}]}}";

    private static string List(int count, Func<int, string> item, char by = ',') =>
        string.Join(by, Enumerable.Range(0, count).Select(item));
}
