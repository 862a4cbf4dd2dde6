using System.Diagnostics;
using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Decoding.Constraints.Matching;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tokenizers;

namespace Understory.Benchmarks;

/// <summary>
/// What a constraint costs per token over JSON answers as a model writes them: finding each new mask, and deciding under one.
/// </summary>
internal static class MaskBench
{
    private static readonly (string Name, string Schema, string Answer)[] _cases =
    [
        ("person",
            """{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":130},"email":"""
                + """{"type":"string","format":"email"},"address":{"type":"object","properties":{"street":{"type":"string"},"city":"""
                + """{"type":"string"},"zip":{"type":"string","pattern":"^[0-9]{5}$"}},"required":"""
                + """["street","city","zip"],"additionalProperties":false},"tags":{"type":"array","items":{"enum":"""
                + """["customer","supplier","employee"]},"maxItems":4}},"required":"""
                + """["name","age","email","address","tags"],"additionalProperties":false}""",
            """{"name": "Margarethe Øvergård-日本", "age": 42, "email": "m.overgaard@example.org", "address": {"street": "12 Rue de """
                + """l'Église", "city": "Saint-Étienne", "zip": "42000"}, "tags": ["customer", "employee"]}"""),
        ("tool call",
            """{"type":"object","properties":{"name":{"const":"search_flights"},"arguments":{"type":"object","properties":{"from":"""
                + """{"type":"string","minLength":3,"maxLength":3},"to":{"type":"string","minLength":3,"maxLength":3},"date":"""
                + """{"type":"string","format":"date"},"passengers":{"type":"integer","minimum":1,"maximum":9},"cabin":{"enum":"""
                + """["economy","premium","business","first"]},"notes":{"type":["string","null"],"maxLength":200}},"required":"""
                + """["from","to","date","passengers","cabin","notes"],"additionalProperties":false}},"required":"""
                + """["name","arguments"],"additionalProperties":false}""",
            """{"name": "search_flights", "arguments": {"from": "OSL", "to": "NRT", "date": "2026-03-14", "passengers": """
                + """2, "cabin": "premium", "notes": "Window seats if there are any left, and a vegetarian meal for one of us."}}"""),
        ("steps",
            """{"type":"object","properties":{"steps":{"type":"array","items":{"type":"object","properties":{"explanation":"""
                + """{"type":"string"},"output":{"type":"string"}},"required":["explanation","output"],"additionalProperties":"""
                + """false}},"final_answer":{"type":"string"}},"required":["steps","final_answer"],"additionalProperties":false}""",
            """{"steps": [{"explanation": "Start with the equation that was given.", "output": "8x + 7 = -23"}, """
                + """{"explanation": "Subtract 7 from both sides to isolate the term with the variable.", "output": "8x = -23 - 7 = """
                + """-30"}, {"explanation": "Divide both sides by 8 to solve for x.", "output": "x = -30 / 8"}, """
                + """{"explanation": "Simplify the fraction.", "output": "x = -15 / 4 = -3.75"}], "final_answer": "x = -3.75"}"""),
        ("object", "",
            "{\n  \"id\": 4711,\n  \"title\": \"On the \\\"speed\\\" of trees\",\n  \"ratio\": 0.375,\n  \"authors\": [\n    {\"name\": "
                + "\"A. B.\", \"orcid\": null},\n    {\"name\": \"C. D.\", \"orcid\": \"0000-0002\"}\n  ],\n  \"open\": true,\n  "
                + "\"keywords\": [\"oak\", \"beech\", \"ash\"]\n}"),
    ];

    /// <param name="path">A tokenizer.json.</param>
    public static void Run(string path)
    {
        Tokenizer tokenizer = Tokenizer.Load(path);
        int vocabulary = (tokenizer.VocabularySize + 127) / 128 * 128;
        long start = Stopwatch.GetTimestamp();
        Constraint.Compile(Grammar.Empty, tokenizer);
        Console.WriteLine(
            $"{tokenizer.VocabularySize} tokens sorted into a trie in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F0} ms");
        foreach (bool warm in new[] { false, true })
        {
            Console.WriteLine(warm ? "once compiled:" : "code not compiled yet:");
            foreach ((string name, string schema, string answer) in _cases)
            {
                Measure(name, schema, answer, tokenizer, vocabulary);
            }
        }

        using IKernels kernels = KernelCatalog.Create();
        Pass(kernels);
        Decide(kernels, vocabulary);
    }

    /// <summary>What the cost is held against: one row through a model of 92 million parameters.</summary>
    private static void Pass(IKernels kernels)
    {
        using var stack = new LayerStack(kernels, 768, 12, 4096, 1024, 16);
        var clock = new Clock();
        var row = new ForwardBatch(1, 1);
        row.Add(1, 100);
        double best = double.MaxValue;
        for (int i = 0; i < 60; i++)
        {
            long start = Stopwatch.GetTimestamp();
            stack.Forward(row, clock);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        Console.WriteLine($"one row through 768x12, {stack.PassBytes / 2e6:F0}M parameters: {best:F0} us");
    }

    private static void Measure(string name, string schema, string answer, Tokenizer tokenizer, int vocabulary)
    {
        long start = Stopwatch.GetTimestamp();
        Grammar grammar = schema.Length == 0 ? Grammar.JsonObject() : Grammar.JsonSchema(JsonDocument.Parse(schema).RootElement);
        Constraint constraint = Constraint.Compile(grammar, tokenizer);
        double compiled = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (!constraint.Matches(answer))
        {
            throw new InvalidOperationException($"{name}: the answer is none of its schema.");
        }

        int[] tokens = tokenizer.Encode(answer, addSpecialTokens: false);
        var matcher = new ConstraintMatcher(constraint, vocabulary, []);
        (double first, double worst) = Follow(matcher, tokens);
        (double again, _) = Follow(matcher, tokens);
        Console.WriteLine($"  {name,-10} {tokens.Length,4} tokens, {matcher.States,5} states: compiled in {compiled,6:F1} ms; "
            + $"{first,6:F1} us a token the first time (worst {worst,6:F0}), {again,5:F2} afterwards");
    }

    private static (double Mean, double Worst) Follow(ConstraintMatcher matcher, int[] tokens)
    {
        double sum = 0;
        double worst = 0;
        int state = matcher.Start;
        foreach (int token in tokens)
        {
            long start = Stopwatch.GetTimestamp();
            _ = matcher.Mask(state);
            state = matcher.Advance(state, token);
            double took = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            sum += took;
            worst = Math.Max(worst, took);
        }

        return (sum / tokens.Length, worst);
    }

    /// <summary>The decision rule over a row with and without a mask.</summary>
    private static unsafe void Decide(IKernels kernels, int vocabulary)
    {
        using MemoryBlock memory = kernels.Allocate((long)vocabulary * sizeof(float));
        var random = new Random(1);
        foreach (ref float logit in new Span<float>((void*)memory.Address, vocabulary))
        {
            logit = random.NextSingle() * 8;
        }

        var logits = new Tensor(DType.F32, 1, vocabulary, memory.Address);
        var batch = new DecisionBatch(1, 1, 1) { Rows = 1, Params = DecisionParams.Greedy with { Temperature = 1 } };
        batch.Given[0] = -1;
        double Time()
        {
            double best = double.MaxValue;
            for (int i = 0; i < 400; i++)
            {
                long start = Stopwatch.GetTimestamp();
                kernels.Decide(logits, batch);
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            }

            return best;
        }

        double plain = Time();
        batch.UseMask((vocabulary + 63) / 64);
        batch.MaskRow(0).Fill(ulong.MaxValue);
        double open = Time();
        batch.MaskRow(0).Clear();
        batch.MaskRow(0)[7] = 0xFF;
        Console.WriteLine($"decision at T = 1 over {vocabulary} tokens: {plain:F0} us; under a mask of nearly all {open:F0} us, of a few "
            + $"{Time():F0} us");
    }
}
