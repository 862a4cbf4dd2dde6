using System.Text.Json;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Sequences;

/// <summary>Embeddings: the mean of a prompt's final hidden states.</summary>
[Collection(DemoGroup.Name)]
public class HiddenMeanTests(DemoBundle demo)
{
    public static TheoryData<string> Models => ["gpt2", "llama-bf16", "mistral-window", "qwen3-norm"];

    private static string Golden(params string[] path) =>
        Path.Combine([Standin.Folder, "..", "golden", .. path]);

    [Theory]
    [MemberData(nameof(Models))]
    public void They_are_those_of_the_independent_implementation(string name)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllBytes(Golden("embeddings.json")));
        JsonElement known = json.RootElement.GetProperty(name);
        int[] ids = [.. known.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
        float[] expected = [.. known.GetProperty("embedding").EnumerateArray().Select(value => value.GetSingle())];
        foreach (KernelSet set in KernelCatalog.Available)
        {
            using IKernels kernels = KernelCatalog.Create(set.Name);
            var options = new LoadOptions(known.GetProperty("context").GetInt32(), CacheType.F32);
            using Transformer model = ModelLoader.LoadTransformer(Golden(name), kernels, options);
            using var loop =
                new DecodingLoop(model, demo.Target.Tokenizer, null, null, new DecodingOptions { Calibration = TimeSpan.Zero });
            float[] actual = Embed(loop, ids);
            Assert.Equal(expected.Length, actual.Length);
            Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
            Assert.Equal(1, Math.Sqrt(actual.Sum(value => (double)value * value)), 1e-6);
        }
    }

    [Fact]
    public void They_have_the_same_bits_whatever_was_computed_before_and_however_the_prompt_is_cut()
    {
        int[] prompt = [.. Enumerable.Repeat(demo.Prompts().SelectMany(p => p), 10).SelectMany(p => p).Take(600)];
        Assert.Equal(600, prompt.Length);
        using DecodingLoop fresh = demo.CreateLoop();
        float[] expected = Embed(fresh, prompt);
        using DecodingLoop busy = demo.CreateLoop();
        busy.Decode(Request(prompt[..400], SamplingParams.Greedy));
        Assert.Equal(expected, Embed(busy, prompt));
        Assert.Equal(expected, Embed(busy, prompt));

        // The same rows, a few at a time.
        Transformer model = demo.Target.Transformer;
        using KvCache cache = model.CreateCache(prompt.Length);
        var mean = new HiddenMean(model.Config.HiddenSize);
        var batch = new ForwardBatch(model.MaxRows, 1);
        for (int first = 0, rows = 1; first < prompt.Length; first += rows, rows = (rows % 37) + 3)
        {
            rows = Math.Min(rows, prompt.Length - first);
            batch.Clear();
            for (int i = first; i < first + rows; i++)
            {
                batch.Add(prompt[i], i);
            }

            model.Forward(batch, cache);
            mean.Add(model, rows);
        }

        Assert.Equal(expected, mean.Normalized());
    }

    [Fact]
    public void A_prompt_of_the_whole_context_and_one_of_a_single_token_have_one_too()
    {
        using DecodingLoop loop = demo.CreateLoop();
        int[] longest = [.. Enumerable.Range(0, loop.ContextLength).Select(i => i % 4000)];
        foreach (int[] prompt in new[] { longest, [5] })
        {
            Sequence sequence = loop.Run(Request(prompt, SamplingParams.Greedy) with { Embed = true });
            Assert.Equal((prompt.Length, 0), (sequence.PrefilledTokens, sequence.GeneratedTokens));
            Assert.Equal(1, Math.Sqrt(sequence.Hidden!.Normalized().Sum(value => (double)value * value)), 1e-6);
        }
    }

    [Fact]
    public void Nothing_has_no_direction() => Assert.Equal([0f, 0f], new HiddenMean(2).Normalized());

    private static float[] Embed(DecodingLoop loop, int[] prompt) =>
        loop.Run(Request(prompt, SamplingParams.Greedy) with { Embed = true }).Hidden!.Normalized();
}
