using Understory.Server.Hosting;

namespace Understory.Training.Drafting;

/// <summary>Puts a draft beside its target, where the server finds it: whole, or not at all.</summary>
internal static class DraftInstaller
{
    /// <summary>Makes sure, before anything is made, that it can be put beside the target.</summary>
    /// <exception cref="TrainingException">Nothing can be written there.</exception>
    public static void Require(string target)
    {
        string partial = TrainedDraft.FolderOf(target) + ".partial";
        try
        {
            Delete(partial);
            Directory.CreateDirectory(partial);
            Directory.Delete(partial);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new TrainingException($"What is made is put beside the target, and nothing can be written there ({e.Message}): name the "
                + "target by a link in a folder of your own.", e);
        }
    }

    /// <param name="draft">The draft's folder or file; null: the n-gram alone.</param>
    /// <param name="report">Why it is there.</param>
    /// <returns>The folder that it is in.</returns>
    public static string Install(string target, string? draft, string ngram, string report)
    {
        string folder = TrainedDraft.FolderOf(target);
        string partial = folder + ".partial";
        Delete(partial);
        Directory.CreateDirectory(partial);
        File.Copy(ngram, Path.Combine(partial, "draft.ngram"));
        File.Copy(report, Path.Combine(partial, "verdict.json"));
        if (draft is not null)
        {
            Copy(draft, Path.Combine(partial, Path.GetFileName(draft)));
        }

        Delete(folder);
        Directory.Move(partial, folder);
        return folder;
    }

    private static void Copy(string from, string to)
    {
        if (File.Exists(from))
        {
            File.Copy(from, to);
            return;
        }

        Directory.CreateDirectory(to);
        foreach (string file in Directory.EnumerateFiles(from))
        {
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        }
    }

    private static void Delete(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
