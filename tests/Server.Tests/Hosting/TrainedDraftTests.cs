using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

/// <summary>What the trainer leaves beside a model serves with it.</summary>
public sealed class TrainedDraftTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_draft_beside_a_model_serves_with_it_unless_another_or_none_is_named()
    {
        string target = Copy(DemoBundle.Target, Path.Combine(_folder, Path.GetFileName(DemoBundle.Target)));
        Assert.Equal((null, null), Loaded(new ServerOptions { Model = target }));

        string beside = Directory.CreateDirectory(TrainedDraft.FolderOf(target)).FullName;
        string draft = Copy(DemoBundle.Draft, Path.Combine(beside, Directory.Exists(DemoBundle.Draft) ? "model" : "model.gguf"));
        File.Copy(DemoBundle.Ngram, Path.Combine(beside, "draft.ngram"));
        (string? model, string? ngram) = Loaded(new ServerOptions { Model = target });
        Assert.Equal(draft, model);
        Assert.Equal(Path.Combine(beside, "draft.ngram"), ngram);
        Assert.Equal((null, null), Loaded(new ServerOptions { Model = target, Draft = "none", Ngram = "none" }));
        Assert.Equal(Path.GetFullPath(DemoBundle.Draft), Loaded(new ServerOptions { Model = target, Draft = DemoBundle.Draft }).Draft);
    }

    /// <summary>What a server of these options would draft with.</summary>
    private static (string? Draft, string? Ngram) Loaded(ServerOptions options)
    {
        var loading = new ModelLoading(options);
        using LoadedModel loaded = loading.Load(_ => { });
        const string Ngram = "N-gram: ";
        string? ngram = loading.Report.FirstOrDefault(line => line.StartsWith(Ngram, StringComparison.Ordinal));
        return (loaded.Draft?.Path, ngram?[Ngram.Length..]);
    }

    private static string Copy(string from, string to)
    {
        if (File.Exists(from))
        {
            File.Copy(from, to);
            return to;
        }

        Directory.CreateDirectory(to);
        foreach (string file in Directory.EnumerateFiles(from))
        {
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        }

        return to;
    }
}
