namespace Understory.Server.Hosting;

/// <summary>
/// A draft that the trainer made for a model and found to be faster: it lies beside the model as <c>NAME.draft</c> and serves with it
/// where no other one is named.
/// </summary>
public static class TrainedDraft
{
    public static string FolderOf(string target) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(target)) + ".draft";

    /// <summary>The draft model beside a target; null: there is none.</summary>
    public static string? ModelOf(string target) => Existing(target, "model.gguf") ?? Existing(target, "model");

    /// <summary>The n-gram beside a target; null: there is none.</summary>
    public static string? NgramOf(string target) => Existing(target, "draft.ngram");

    private static string? Existing(string target, string name) =>
        Path.Combine(FolderOf(target), name) is var path && Path.Exists(path) ? path : null;
}
