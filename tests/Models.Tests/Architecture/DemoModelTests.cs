using System.Text.Json;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture;

/// <summary>The stand-in pair against an independent forward pass (PyTorch, F32 over the same weights).</summary>
public class DemoModelTests
{
    public static TheoryData<string> KernelSets => [.. KernelCatalog.Available.Select(set => set.Name)];

    [Theory]
    [MemberData(nameof(KernelSets))]
    public void The_stand_in_pair_gives_the_golden_logits_and_texts(string kernelSet)
    {
        using JsonDocument golden = JsonDocument.Parse(File.ReadAllBytes(Repository.Fixture("standin", "golden.json")));
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        foreach (IGrouping<string, JsonElement> cases in golden.RootElement.EnumerateArray()
            .GroupBy(item => item.GetProperty("model").GetString()!))
        {
            string path = Path.Combine(Standin.Folder, cases.Key);
            using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions(CacheType: CacheType.F32));
            foreach (JsonElement item in cases)
            {
                Check(model, item);
            }
        }
    }

    private static void Check(Transformer model, JsonElement golden)
    {
        int[] ids = [.. golden.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
        float[][] logits = model.Logits(ids);
        double[] means = Numbers(golden.GetProperty("mean_logit_per_position"));
        double[] sums = Numbers(golden.GetProperty("log_sum_exp_per_position"));
        for (int p = 0; p < ids.Length; p++)
        {
            Assert.Equal(means[p], logits[p].Average(), 2e-4);
            Assert.Equal(sums[p], Math.Log(logits[p].Sum(logit => Math.Exp(logit))), 2e-4);
        }

        int[] top = [.. golden.GetProperty("last_top10_ids").EnumerateArray().Select(id => id.GetInt32())];
        double[] expected = Numbers(golden.GetProperty("last_top10_logits"));
        for (int i = 0; i < top.Length; i++)
        {
            Assert.Equal(expected[i], logits[^1][top[i]], 2e-4);
        }

        int[] greedy = [.. golden.GetProperty("greedy_64").EnumerateArray().Select(id => id.GetInt32())];
        Assert.Equal(greedy, model.Greedy(ids, greedy.Length));
    }

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetDouble())];
}
