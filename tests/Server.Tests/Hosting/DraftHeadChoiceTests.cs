using Understory.Decoding;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

/// <summary>Whether a draft head drafts, and what the start says of it.</summary>
public sealed class DraftHeadChoiceTests : IDisposable
{
    private static readonly string _model = Path.Combine(Tools.Root, "tests", "Fixtures", "mtp");

    private readonly DirectoryInfo _temp = Directory.CreateTempSubdirectory("understory-");

    [Fact]
    public void A_model_whose_files_hold_a_prediction_block_drafts_by_it_unless_it_is_told_not_to()
    {
        (ModelLoading loading, LoadedModel model) = Load(draft: null);
        using (model)
        {
            string line = Assert.Single(loading.Report, line => line.StartsWith("Draft head: ", StringComparison.Ordinal));
            Assert.Contains("next-token prediction (MTP)", line, StringComparison.Ordinal);
            Assert.Contains("--draft none", line, StringComparison.Ordinal);
            Assert.Contains(SpeculationMode.Staged, model.Served.Modes);
        }

        (loading, model) = Load("none");
        using (model)
        {
            Assert.DoesNotContain(loading.Report, line => line.StartsWith("Draft head: ", StringComparison.Ordinal));
            Assert.DoesNotContain(SpeculationMode.Staged, model.Served.Modes);
        }
    }

    [Fact]
    public void A_model_named_as_draft_takes_the_block_s_place()
    {
        (ModelLoading loading, LoadedModel model) = Load(_model);
        using (model)
        {
            Assert.DoesNotContain(loading.Report, line => line.StartsWith("Draft head: ", StringComparison.Ordinal));
            Assert.NotNull(model.Draft);
            Assert.Null(model.Target.Head);
        }
    }

    [Fact]
    public void An_eagle3_head_of_another_model_is_refused_by_the_option_that_names_it()
    {
        File.WriteAllText(Path.Combine(_temp.FullName, "config.json"), """
            {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_size": 4096, "vocab_size": 272}
            """);
        StartupException error = Assert.Throws<StartupException>(() => Load(_temp.FullName));
        Assert.Contains("--draft", error.Message, StringComparison.Ordinal);
        Assert.Contains("hidden size is 4096, the model's is 64", error.Message, StringComparison.Ordinal);
    }

    public void Dispose() => _temp.Delete(recursive: true);

    private static (ModelLoading Loading, LoadedModel Model) Load(string? draft)
    {
        var loading = new ModelLoading(new ServerOptions { Model = _model, Draft = draft, Device = "cpu" });
        return (loading, loading.Load(_ => { }));
    }
}
