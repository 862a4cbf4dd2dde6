using Understory.Server.Hosting;
using Understory.Training.Drafting;

namespace Understory.Training.Tests.Drafting;

public sealed class DraftInstallerTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Made(string name, string text)
    {
        File.WriteAllText(_folder[name], text);
        return _folder[name];
    }

    [Fact]
    public void What_is_installed_lies_beside_its_target_and_replaces_what_was_there()
    {
        string target = Made("target.gguf", "the target");
        Directory.CreateDirectory(_folder["made/model"]);
        string config = Made("made/model/config.json", "{}");
        string ngram = Made("made/draft.ngram", "n-gram");
        string report = Made("made/verdict.json", "{}");
        Assert.Null(TrainedDraft.ModelOf(target));
        Assert.Null(TrainedDraft.NgramOf(target));

        DraftInstaller.Install(target, Path.GetDirectoryName(config), ngram, report);
        Assert.Equal(_folder["target.gguf.draft/model"], TrainedDraft.ModelOf(target));
        Assert.Equal("n-gram", File.ReadAllText(TrainedDraft.NgramOf(target)!));
        Assert.True(File.Exists(_folder["target.gguf.draft/model/config.json"]));

        string file = Made("made/model.gguf", "gguf");
        DraftInstaller.Install(target, file, ngram, report);
        Assert.Equal(_folder["target.gguf.draft/model.gguf"], TrainedDraft.ModelOf(target));
        Assert.False(Path.Exists(_folder["target.gguf.draft/model"]));

        DraftInstaller.Install(target, draft: null, ngram, report);
        Assert.Null(TrainedDraft.ModelOf(target));
        Assert.NotNull(TrainedDraft.NgramOf(target));
        Assert.Equal("the target", File.ReadAllText(target));
    }

    [Fact]
    public void A_folder_s_draft_lies_beside_the_folder() =>
        Assert.Equal(_folder["target.draft"], TrainedDraft.FolderOf(_folder["target"] + Path.DirectorySeparatorChar));
}
