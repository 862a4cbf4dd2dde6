using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels.Cuda;

namespace Understory.Gpu;

/// <summary>Whole texts with speculation off and on: equal, and how fast.</summary>
internal static class Texts
{
    private const int Tokens = 96;

    private static readonly SpeculationMode[] _modes = [SpeculationMode.Off, SpeculationMode.Ngram, SpeculationMode.Draft, SpeculationMode.Staged, SpeculationMode.Auto];

    private static readonly (string Name, SamplingParams Sampling)[] _samplings =
        [("greedy", SamplingParams.Greedy), ("T = 1", new SamplingParams { Seed = 3 }), ("T = 1, top_k 50", new SamplingParams { TopK = 50, Seed = 4 })];

    /// <summary>The demo bundle on the prompts at hand.</summary>
    public static JsonObject OffAndOn(CudaKernels kernels, string models, string? file, int limit)
    {
        using LanguageModel target = ModelLoader.Load(Path.Combine(models, "target"), kernels, new LoadOptions());
        using LanguageModel draft = ModelLoader.Load(Path.Combine(models, "draft"), kernels, new LoadOptions());
        using var loop = new DecodingLoop(target, draft, NgramModel.Load(Path.Combine(models, "draft.ngram")), new DecodingOptions());
        int[][] prompts = [.. Prompts(file).Take(limit).Select(prompt => target.Tokenizer.Encode(prompt))];
        return Compare(loop, prompts, _modes, null);
    }

    /// <summary>GPT-2-L and 40M shapes with random weights and an oracle that ranks the right token as the paper's draft does: what an acceptance is worth here.</summary>
    public static JsonObject OraclePair(CudaKernels kernels, string models, int prompts)
    {
        using LanguageModel demo = ModelLoader.Load(Path.Combine(models, "target"), kernels, new LoadOptions());
        using Transformer target = ModelLoader.Random(Figures.Gpt2Large, "gpt2-l", kernels, 1);
        using Transformer draft = ModelLoader.Random(Figures.Draft40M, "40m", kernels, 2);
        var oracle = new OracleDrafter(draft, 4, 12, [60, 79, 82, 85]);
        using var loop = new DecodingLoop(target, demo.Tokenizer, oracle, null, new DecodingOptions());
        // The tokenizer knows fewer tokens than the shape has; texts are only compared as tokens.
        int[][] given = [.. Enumerable.Range(0, prompts).Select(i => Checks.Tokens(demo.Config.VocabularySize, 100 + i))];
        JsonObject found = Compare(loop, given, [SpeculationMode.Off, SpeculationMode.Draft, SpeculationMode.Auto], oracle);
        found["acceptance"] = "an oracle in the draft's place: 60, 79, 82, 85 % within the first 1, 2, 3, 4 candidates; no model attained it here";
        return found;
    }

    private static JsonObject Compare(DecodingLoop loop, int[][] prompts, SpeculationMode[] modes, OracleDrafter? oracle)
    {
        var found = new JsonObject { ["prompts"] = prompts.Length };
        foreach ((string name, SamplingParams sampling) in _samplings)
        {
            var seconds = new double[modes.Length];
            long tokens = 0;
            double[] perBatch = new double[modes.Length];
            foreach (int[] prompt in prompts)
            {
                int[] plain = [];
                for (int i = 0; i < modes.Length; i++)
                {
                    var request = new GenerationRequest
                    {
                        Prompt = prompt.Length > 600 ? prompt[..600] : prompt,
                        Sampling = sampling,
                        MaxTokens = Tokens,
                        IgnoreEos = true,
                        Speculation = modes[i],
                    };
                    Sequence sequence = loop.Begin(request);
                    // The first step holds the prefill.
                    loop.Step(sequence);
                    long start = Stopwatch.GetTimestamp();
                    while (!sequence.Finished)
                    {
                        loop.Step(sequence);
                    }

                    seconds[i] += Stopwatch.GetElapsedTime(start).TotalSeconds;
                    int[] ids = sequence.GeneratedIds.ToArray();
                    perBatch[i] += sequence.Statistics.TokensPerBatch / prompts.Length;
                    loop.End(sequence);
                    if (i == 0)
                    {
                        plain = ids;
                        tokens += ids.Length - 1;
                        oracle?.Reveal([.. request.Prompt, .. plain]);
                    }
                    else if (!plain.AsSpan().SequenceEqual(ids))
                    {
                        throw new CheckFailedException($"{name}, {modes[i]}: other tokens than off, from token {plain.AsSpan().CommonPrefixLength(ids)} on, prompt of {prompt.Length}");
                    }
                }
            }

            var figures = new JsonObject();
            for (int i = 0; i < modes.Length; i++)
            {
                figures[modes[i].ToString()] = new JsonObject
                {
                    ["tokens_per_second"] = tokens / seconds[i],
                    ["of_off"] = seconds[0] / seconds[i],
                    ["tokens_per_batch"] = perBatch[i],
                };
            }

            found[name] = figures;
        }

        return found;
    }

    private static IEnumerable<string> Prompts(string? file) => file is null
        ? ["def fibonacci(n):\n", "class Stack:\n    def __init__(self):\n", "import os\n\ndef walk(path):\n", "# Sort a list\n"]
        : File.ReadLines(file).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("prompt").GetString()!);
}
