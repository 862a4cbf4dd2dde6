namespace Understory.Server.Hub;

/// <summary>
/// The folder of downloaded models, in the layout that the hub's own tools read and write, so that a model is on the disk once:
/// <code>
/// models--OWNER--NAME/refs/main                  the commit that main stood for
/// models--OWNER--NAME/blobs/HASH                 contents, HASH.incomplete while they come
/// models--OWNER--NAME/snapshots/COMMIT/FILE      links to contents
/// .locks/models--OWNER--NAME/HASH.lock           held while a content is fetched
/// </code>
/// </summary>
public sealed class HubCache(string folder)
{
    public string Folder { get; } = folder;

    /// <summary>The folder of a commit's files.</summary>
    public string Snapshot(string repository, string commit) => Path.Combine(Repository(repository), "snapshots", commit);

    public string Blob(string repository, string hash) => Path.Combine(Repository(repository), "blobs", hash);

    /// <summary>Waits until no other process fetches this content.</summary>
    public async Task<IDisposable> LockAsync(string repository, string hash, CancellationToken cancellation)
    {
        string path = Path.Combine(Folder, ".locks", FolderName(repository), hash + ".lock");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        while (true)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(path))
            {
                await Task.Delay(200, cancellation);
            }
        }
    }

    /// <summary>Is this file of the commit here, complete?</summary>
    public bool Has(string repository, string commit, HubFile file) =>
        new FileInfo(Path.Combine(Snapshot(repository, commit), file.Path)) is { Exists: true } found
        && (found.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target.Exists
            && target.Length == file.Size : found.Length == file.Size);

    /// <summary>Makes a content visible under its name.</summary>
    public void Link(string repository, string commit, HubFile file)
    {
        string path = Path.Combine(Snapshot(repository, commit), file.Path);
        string blob = Blob(repository, file.Hash);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // A new name and then a rename: nobody ever sees the file missing or half there.
        string fresh = $"{path}.{Guid.NewGuid():N}";
        try
        {
            File.CreateSymbolicLink(fresh, Path.GetRelativePath(Path.GetDirectoryName(path)!, blob));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException && OperatingSystem.IsWindows())
        {
            // Windows lets only some users make links; the hub's tools move the content there too.
            File.Move(blob, fresh);
        }

        File.Move(fresh, path, overwrite: true);
    }

    /// <summary>Notes what a branch or tag stands for: the last act of a download, so that a snapshot that is named is whole.</summary>
    public void Name(string repository, string revision, string commit)
    {
        string path = Path.Combine(Repository(repository), "refs", revision);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        string fresh = $"{path}.{Guid.NewGuid():N}";
        File.WriteAllText(fresh, commit);
        File.Move(fresh, path, overwrite: true);
    }

    /// <summary>Where a model lies: the snapshot's folder, or its GGUF file. Null: it is not here.</summary>
    /// <exception cref="HubException">The snapshot holds several GGUF models between which nothing decides.</exception>
    public string? Find(HubReference reference)
    {
        string name = Path.Combine(Repository(reference.Repository), "refs", reference.Revision);
        string snapshot = Snapshot(reference.Repository, File.Exists(name) ? File.ReadAllText(name).Trim() : reference.Revision);
        if (!Directory.Exists(snapshot))
        {
            return null;
        }

        if (reference.File is null && File.Exists(Path.Combine(snapshot, "config.json"))
            && Directory.EnumerateFiles(snapshot, "*.safetensors").Any())
        {
            return snapshot;
        }

        IReadOnlyList<GgufModel> models = GgufFiles.Models(Directory.EnumerateFiles(snapshot, "*.gguf", SearchOption.AllDirectories)
            .Select(path => (Path.GetRelativePath(snapshot, path).Replace(Path.DirectorySeparatorChar, '/'), new FileInfo(path).Length)));
        GgufModel? found = reference.File is { } wanted ? GgufFiles.Named(models, wanted) : GgufFiles.Default(models);
        return found is null ? null : Path.Combine(snapshot, found.Paths[0]);
    }

    /// <summary>
    /// The repository, OWNER/NAME, that a path inside such a folder belongs to: its own name there is a commit's. Null: it is elsewhere.
    /// </summary>
    public static string? RepositoryOf(string path)
    {
        string[] parts = Path.GetFullPath(path).Split(Path.DirectorySeparatorChar);
        int snapshots = Array.LastIndexOf(parts, "snapshots");
        return snapshots > 0 && snapshots < parts.Length - 1 && parts[snapshots - 1].Split("--", 3) is ["models", var owner, var name]
            ? $"{owner}/{name}"
            : null;
    }

    private string Repository(string repository) => Path.Combine(Folder, FolderName(repository));

    private static string FolderName(string repository) => "models--" + repository.Replace("/", "--");
}
