namespace Understory.Server.Tests;

/// <summary>Programs and folders that some tests need and a machine may lack.</summary>
internal static class Tools
{
    /// <summary>The folder that holds the solution; the test's own where there is none.</summary>
    public static string Root { get; } = FindRoot(AppContext.BaseDirectory);

    public static bool Has(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, program)) || File.Exists(Path.Combine(folder, program + ".exe")));

    private static string FindRoot(string start)
    {
        for (string? folder = start; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "ServerSolution.sln")))
            {
                return folder;
            }
        }

        return start;
    }
}
