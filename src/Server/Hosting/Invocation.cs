namespace Understory.Server.Hosting;

/// <summary>How this program is called from where it was started, for commands that it tells people.</summary>
public static class Invocation
{
    private const string Program = "understory";

    /// <summary>"understory" where that is on the path, else the file's own path; in a container what compose calls it.</summary>
    public static string Name { get; } = Find(
        Environment.ProcessPath, Environment.CurrentDirectory, Environment.GetEnvironmentVariable("PATH"),
        Environment.GetEnvironmentVariable("DOTNET_RUNNING_IN_CONTAINER") == "true");

    /// <param name="process">The program's file.</param>
    /// <param name="folder">Where the caller is.</param>
    internal static string Find(string? process, string folder, string? path, bool container)
    {
        if (container)
        {
            return "docker compose run --rm server";
        }

        bool found = (path ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Any(place => File.Exists(Path.Combine(place, Program)) || File.Exists(Path.Combine(place, Program + ".exe")));
        if (found || process is null || Path.GetFileNameWithoutExtension(process) != Program)
        {
            return Program;
        }

        string relative = Path.GetRelativePath(folder, process);
        string shown = relative.StartsWith("..", StringComparison.Ordinal) ? process
            : relative.Contains(Path.DirectorySeparatorChar) ? relative : Path.Combine(".", relative);
        return shown.Contains(' ', StringComparison.Ordinal) ? $"\"{shown}\"" : shown;
    }
}
