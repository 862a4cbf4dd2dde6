using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Xunit.Abstractions;

namespace Understory.Models.Tests.Architecture;

/// <summary>
/// A real model in Q4_1 (SmolLM2-135M-Instruct) on two real pages, against its weights in F32 and llama.cpp's figures on the same file.
/// </summary>
public class SmolLmTests(ITestOutputHelper output)
{
    private const string Golden = "models/golden-smollm2.json";

    private static string Model => SharedData.PathOf("models/SmolLM2-135M-Instruct.Q4_1.gguf");

    [SharedDataTheory(Golden)]
    [InlineData("prose")]
    [InlineData("code")]
    public void A_page_is_as_likely_as_by_its_weights_and_no_further_from_them_than_by_llama_cpp(string page)
    {
        using JsonDocument golden = Read();
        JsonElement expected = golden.RootElement.GetProperty(page);
        int[] ids = Integers(expected, "ids");
        using IKernels kernels = KernelCatalog.Create();
        float[][] truth;
        using (Transformer widened = Fidelity.Widened(Model, kernels))
        {
            truth = widened.Logits(ids, 128);
        }

        Assert.Equal(expected.GetProperty("mean_nll_f32").GetDouble(), Fidelity.MeanNll(truth, ids), 1e-4);
        using Transformer model = ModelLoader.LoadTransformer(Model, kernels, new LoadOptions(CacheType: CacheType.BF16));
        float[][] logits = model.Logits(ids, 128);
        double nll = Fidelity.MeanNll(logits, ids);
        double kl = Fidelity.MeanKl(truth, logits);
        double peerKl = expected.GetProperty("kl_llama_cpp_from_f32").GetDouble();
        double agreement = Fidelity.TopOneAgreement(truth, logits);
        double peerAgreement = expected.GetProperty("top1_agreement_llama_cpp").GetDouble();
        output.WriteLine($"{page}: NLL {nll:F4} of {Fidelity.MeanNll(truth, ids):F4}; KL {kl:F5}, llama.cpp {peerKl:F5} "
            + $"({kl / peerKl:F2}); top 1 {agreement:F4}, llama.cpp {peerAgreement:F4}");
        Assert.InRange(nll / expected.GetProperty("mean_nll_f32").GetDouble(), 0.995, 1.005);
        Assert.True(kl <= 1.05 * peerKl, $"KL {kl:F5}, llama.cpp {peerKl:F5}");
        Assert.True(agreement >= peerAgreement - 0.005, $"top-1 agreement {agreement:F4}, llama.cpp {peerAgreement:F4}");
    }

    [SharedDataTheory(Golden)]
    [InlineData("prose")]
    [InlineData("code")]
    public void A_page_is_as_likely_by_keys_and_values_in_q8_0_as_in_bf16(string page)
    {
        using JsonDocument golden = Read();
        int[] ids = Integers(golden.RootElement.GetProperty(page), "ids");
        using IKernels kernels = KernelCatalog.Create();
        double bytes = Nll(CacheType.Q8);
        double plain = Nll(CacheType.BF16);
        output.WriteLine($"{page}: NLL {bytes:F5} in q8_0, {plain:F5} in bf16 ({bytes / plain:F5})");
        Assert.InRange(bytes / plain, 0.995, 1.005);

        double Nll(CacheType type)
        {
            using Transformer model = ModelLoader.LoadTransformer(Model, kernels, new LoadOptions(CacheType: type));
            return Fidelity.MeanNll(model.Logits(ids, 128), ids);
        }
    }

    [SharedDataFact(Golden)]
    public void The_tokenizer_of_the_file_gives_the_ids_of_llama_cpp()
    {
        using JsonDocument golden = Read();
        using IKernels kernels = KernelCatalog.Create();
        using LanguageModel model = ModelLoader.Load(Model, kernels, new LoadOptions(Context: 64));
        foreach (string page in (string[])["prose", "code"])
        {
            JsonElement expected = golden.RootElement.GetProperty(page);
            Assert.Equal(Integers(expected, "ids"), model.Tokenizer.Encode(expected.GetProperty("text").GetString()!)[..1024]);
        }
    }

    [SharedDataFact(Golden)]
    public void Code_goes_on_as_by_its_weights_as_far_as_the_choice_is_clear()
    {
        using JsonDocument golden = Read();
        JsonElement greedy = golden.RootElement.GetProperty("greedy");
        int[] prompt = Integers(greedy, "prompt");
        int[] tokens = Integers(greedy, "tokens");
        double[] gaps = [.. greedy.GetProperty("gap").EnumerateArray().Select(gap => gap.GetDouble())];
        using IKernels kernels = KernelCatalog.Create();
        using Transformer model = ModelLoader.LoadTransformer(Model, kernels, new LoadOptions());
        float[][] logits = model.Logits([.. prompt, .. tokens], 64);
        for (int i = 0; i < tokens.Length; i++)
        {
            float[] row = logits[prompt.Length - 1 + i];
            int best = Runs.Best(row);
            // Rounded inputs move a logit by some tenths: only where the second best is nearer than that may another win.
            Assert.True(best == tokens[i] || gaps[i] < 0.5, $"token {i}: {best} instead of {tokens[i]}, which leads by {gaps[i]}");
        }
    }

    private static JsonDocument Read() => JsonDocument.Parse(File.ReadAllBytes(SharedData.PathOf(Golden)));

    private static int[] Integers(JsonElement element, string key) =>
        [.. element.GetProperty(key).EnumerateArray().Select(item => item.GetInt32())];
}
