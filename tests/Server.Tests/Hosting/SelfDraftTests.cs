using Understory.Decoding;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

/// <summary><c>--draft self</c>, from the option to a loop that drafts.</summary>
public class SelfDraftTests
{
    [Fact]
    public void A_target_drafts_for_itself_and_one_line_says_what_that_takes()
    {
        var loading = new ModelLoading(new ServerOptions { Model = Standin.Target, Draft = "self" });
        using LoadedModel model = loading.Load(_ => { });
        Assert.Same(model.Target.Transformer, model.Draft!.CopyOf);
        Assert.Contains(SpeculationMode.Staged, model.Served.Modes);
        string line = Assert.Single(loading.Report, line => line.StartsWith("Draft:", StringComparison.Ordinal));
        Assert.Matches(
            "own weights in 4 bits, embedding and head too.* [0-9.]+ MB instead of [0-9.]+; .* MB of memory, .* s to make", line);
        Assert.True(model.Draft.Transformer.WeightBytes < 0.4 * model.Target.Transformer.WeightBytes);
    }

    [SharedDataTheory("quants/mixes/Q4_K_M.gguf")]
    [InlineData("Q4_K_M")]
    [InlineData("Q4_0")]
    public void A_target_of_four_bits_is_refused_with_the_remedy(string type)
    {
        var options = new ServerOptions { Model = SharedData.PathOf($"quants/mixes/{type}.gguf"), Draft = "self" };
        StartupException error = Assert.Throws<StartupException>(() => new ModelLoading(options).Load(_ => { }));
        Assert.Contains("--draft self: a copy in 4 bits", error.Message, StringComparison.Ordinal);
        Assert.Contains("8 or 16 bits", error.Message, StringComparison.Ordinal);
    }
}
