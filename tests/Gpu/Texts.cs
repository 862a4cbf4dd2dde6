using System.Diagnostics;
using System.Globalization;
using System.Text;
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
    /// <summary>Of an answer.</summary>
    private const int Tokens = 96;

    private static readonly SpeculationMode[] _modes =
        [SpeculationMode.Off, SpeculationMode.Ngram, SpeculationMode.Draft, SpeculationMode.Staged, SpeculationMode.Auto];

    /// <summary>Where there is no n-gram model.</summary>
    private static readonly SpeculationMode[] _fewModes = [SpeculationMode.Off, SpeculationMode.Draft, SpeculationMode.Staged];

    private static readonly (string Name, SamplingParams Sampling)[] _samplings =
    [
        ("greedy", SamplingParams.Greedy),
        ("T = 1", new SamplingParams { Seed = 3 }),
        ("T = 1, top_k 50", new SamplingParams { TopK = 50, Seed = 4 }),
    ];

    /// <summary>The demo bundle on prompts of code.</summary>
    public static void Demo(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        using LanguageModel target = ModelLoader.Load(Path.Combine(run.Models, "target"), kernels, new LoadOptions());
        using LanguageModel draft = ModelLoader.Load(Path.Combine(run.Models, "draft"), kernels, new LoadOptions());
        using var loop = new DecodingLoop(target, draft, NgramModel.Load(Path.Combine(run.Models, "draft.ngram")), new DecodingOptions());
        string[] prompts =
            ["def fibonacci(n):\n", "class Stack:\n    def __init__(self):\n", "import os\n\ndef walk(path):\n", "# Sort a list\n"];
        Compare(run, loop, [.. prompts.Select(prompt => target.Tokenizer.Encode(prompt))], Tokens, _modes, null);
    }

    /// <summary>Random models of few layers: a target that is its own draft, so that all is accepted, and one of another.</summary>
    public static void Tiny(CheckRun run, string family)
    {
        CudaKernels kernels = run.Open();
        string shape = run.Size($"{family}:256x4:1000:600", $"{family}:64x1:300:160");
        using LanguageModel demo = ModelLoader.Load(Path.Combine(run.Models, "draft"), kernels, new LoadOptions());
        using Transformer target = ModelLoader.Random(shape, kernels, 1);
        foreach (ulong seed in (ulong[])[1, 2])
        {
            using Transformer draft = ModelLoader.Random(shape, kernels, seed);
            var drafter = new ModelDrafter(draft, 3, 6);
            var options = new DecodingOptions { MaxDepth = 6, Calibration = TimeSpan.Zero };
            using var loop = new DecodingLoop(target, demo.Tokenizer, drafter, null, options);
            int[][] prompts = [.. Enumerable.Range(0, run.Size(3, 1)).Select(i => Random(target.Config.VocabularySize, 21 + (40 * i)))];
            Compare(run, loop, prompts, run.Size(Tokens, 12), run.Size(_modes, _fewModes), null);
        }
    }

    /// <summary>
    /// GPT-2-L and 40M shapes with random weights and an oracle that ranks the right token as the paper's draft does: what an acceptance is
    /// worth here.
    /// </summary>
    public static void OraclePair(CheckRun run, int prompts)
    {
        CudaKernels kernels = run.Open();
        using LanguageModel demo = ModelLoader.Load(Path.Combine(run.Models, "draft"), kernels, new LoadOptions());
        using Transformer target = ModelLoader.Random(Figures.Gpt2Large, "gpt2-l", kernels, 1);
        using Transformer draft = ModelLoader.Random(Figures.Draft40M, "40m", kernels, 2);
        var oracle = new OracleDrafter(draft, 4, 12, [60, 79, 82, 85]);
        using var loop = new DecodingLoop(target, demo.Tokenizer, oracle, null, new DecodingOptions());
        run.Report("acceptance", "an oracle's: 60, 79, 82, 85 % within the first 1, 2, 3, 4 candidates; no model attained it here");
        // The tokenizer knows fewer tokens than the shape has; texts are only compared as tokens.
        int[][] given = [.. Enumerable.Range(0, prompts).Select(i => Random(demo.Config.VocabularySize, 100 + i))];
        Compare(run, loop, given, Tokens, [.. _fewModes, SpeculationMode.Auto], oracle);
    }

    private static int[] Random(int vocabulary, int count)
    {
        var random = new Random(count);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }

    /// <summary>The same tokens in every mode as in the first.</summary>
    private static void Compare(
        CheckRun run, DecodingLoop loop, int[][] prompts, int length, SpeculationMode[] modes, OracleDrafter? oracle)
    {
        var summary = new StringBuilder();
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
                        MaxTokens = length,
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
                    else
                    {
                        int common = plain.AsSpan().CommonPrefixLength(ids);
                        run.Expect(
                            common == plain.Length && common == ids.Length,
                            $"{name}, {modes[i]}: other tokens than off, from token {common} on, prompt of {prompt.Length}");
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

            run.Report(name, figures);
            summary.Append(summary.Length > 0 ? ", " : "");
            summary.Append(CultureInfo.InvariantCulture, $"{name}: {modes[^1]} {seconds[0] / seconds[^1]:F2}");
            summary.Append(CultureInfo.InvariantCulture, $" of off at {tokens / seconds[0]:F0} tokens/s");
        }

        if (!run.Emulated)
        {
            run.Report("summary", summary.ToString());
        }
    }
}
