using System.Text.Json;
using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests;

/// <summary>The first promise, for a tiny checkpoint of each family.</summary>
[Collection(DemoGroup.Name)]
public class FamilyLosslessTests
{
    private const string Folder = "families";

    public static TheoryData<string> Models =>
    [
        "gpt2", "llama3", "mistral-window", "ministral3", "qwen2-window", "qwen3", "gemma2", "gemma3", "gemma4-dense", "gemma4-e",
        "gemma4-moe", "gemma4-published", "phi3-longrope", "smollm3", "granite", "olmo2", "cohere2", "glm4", "muse-glimmer-published",
        "qwen35", "qwen35-published", "qwen35-moe", "qwen3-next",
    ];

    [SharedDataTheory("families/gemma4-e/golden.json")]
    [MemberData(nameof(Models))]
    public void Text_is_the_same_with_trees_of_any_size_and_behind_any_cached_prefix(string name) => Check(
        name, (model, prompt, sampling) =>
        {
            using var loop = Loop(model, out OracleDrafter oracle);
            int[] plain = loop.Decode(Request(prompt, sampling, 40) with { Speculation = SpeculationMode.Off });
            oracle.Reveal([.. prompt, .. plain]);
            foreach (int nodes in (int[])[1, 2, 5, 16, 63])
            {
                GenerationRequest request = Request(prompt, sampling, 40) with { SpeculationNodes = nodes, DraftPasses = 4 };
                foreach (SpeculationMode mode in (SpeculationMode[])[SpeculationMode.Draft, SpeculationMode.Ngram])
                {
                    Assert.Equal(plain, loop.Decode(request with { Speculation = mode }));
                }
            }

            // Prompts that continue, branch off, or stop inside what is cached.
            foreach (int keep in (int[])[60, 41, 40, 17, 9, 3])
            {
                int[] branched = [.. prompt.Concat(plain).Take(keep), 7, 8, 9];
                using DecodingLoop cold = Loop(model, out _);
                GenerationRequest request = Request(branched, sampling, 16);
                int[] expected = cold.Decode(request with { Speculation = SpeculationMode.Off });
                Assert.Equal(expected, loop.Decode(request with { Speculation = SpeculationMode.Auto }));
            }
        });

    /// <summary>Windows, experts and recurrent states, beside a tree and without one.</summary>
    [SharedDataTheory("families/gemma4-e/golden.json")]
    [MemberData(nameof(Models))]
    public void Rows_that_look_ahead_change_nothing(string name) => Check(
        name, (model, prompt, sampling) =>
        {
            foreach (int rows in (int[])[3, 24])
            {
                using var loop = Loop(model, out OracleDrafter oracle, rows);
                int[] plain = loop.Decode(Request(prompt, sampling, 40) with { Speculation = SpeculationMode.Off });
                oracle.Reveal([.. prompt, .. plain]);
                foreach (SpeculationMode mode in (SpeculationMode[])[SpeculationMode.Ngram, SpeculationMode.Draft, SpeculationMode.Auto])
                {
                    Assert.Equal(plain, loop.Decode(Request(prompt, sampling, 40) with { Speculation = mode }));
                }

                int[] longer = [.. prompt, .. plain[..21]];
                Assert.Equal(plain[21..], loop.Decode(Request(longer, sampling, 19) with { Speculation = SpeculationMode.Auto }));
            }
        });

    /// <summary>Loads a family's model and checks it greedy and sampled.</summary>
    private static void Check(string name, Action<LanguageModel, int[], SamplingParams> check)
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        string folder = SharedData.PathOf(Path.Combine(Folder, name));
        using LanguageModel model = ModelLoader.Load(folder, kernels, new LoadOptions());
        int[] prompt = Prompt(folder);
        check(model, prompt, SamplingParams.Greedy);
        check(model, prompt, new SamplingParams { Seed = 9 });
    }

    /// <summary>A loop whose drafter is right four times of five, and otherwise guesses as the model does.</summary>
    private static DecodingLoop Loop(LanguageModel model, out OracleDrafter oracle, int? lookahead = null)
    {
        oracle = new OracleDrafter(model.Transformer, 3, 12, [50, 80]);
        var options = new DecodingOptions { MaxDepth = 12, LookaheadRows = lookahead };
        return new DecodingLoop(model.Transformer, model.Tokenizer, oracle, null, options);
    }

    private static int[] Prompt(string folder)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "golden.json")));
        return [.. golden.RootElement.GetProperty("prompt").EnumerateArray().Select(item => item.GetInt32())];
    }
}
