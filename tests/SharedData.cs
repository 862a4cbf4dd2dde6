using System.IO.Compression;

namespace Understory.Tests;

/// <summary>
/// Data that a clone does not have: <c>UNDERSTORY_TEST_DATA</c>, or a <c>shared/data</c> beside a folder above the tests.
/// </summary>
internal static class SharedData
{
    private static readonly string? Folder = Environment.GetEnvironmentVariable("UNDERSTORY_TEST_DATA") is { Length: > 0 } named
        ? named : FindFolder();

    public static string PathOf(string path) => Path.Combine(Folder ?? throw new DirectoryNotFoundException("No test data."), path);

    /// <summary>What a file that was packed with gzip holds.</summary>
    public static byte[] Unpacked(string path)
    {
        using var file = new GZipStream(File.OpenRead(PathOf(path)), CompressionMode.Decompress);
        using var content = new MemoryStream();
        file.CopyTo(content);
        return content.ToArray();
    }

    /// <summary>Why tests that need <paramref name="path"/> of it cannot run; null if they can.</summary>
    public static string? ReasonToSkip(string path) =>
        Folder is null ? "UNDERSTORY_TEST_DATA is not set and no shared/data lies above the tests."
        : Path.Exists(Path.Combine(Folder, path)) ? null : $"{path} is not in {Folder}.";

    private static string? FindFolder()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !Directory.Exists(Path.Combine(folder.FullName, "shared", "data")))
        {
            folder = folder.Parent;
        }

        return folder is null ? null : Path.Combine(folder.FullName, "shared", "data");
    }
}

/// <summary>A test of data that a clone does not have; skipped without it.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute(string path) => Skip = SharedData.ReasonToSkip(path);
}

/// <inheritdoc cref="SharedDataFactAttribute"/>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedDataTheoryAttribute : TheoryAttribute
{
    public SharedDataTheoryAttribute(string path) => Skip = SharedData.ReasonToSkip(path);
}
