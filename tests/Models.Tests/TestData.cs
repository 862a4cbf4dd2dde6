namespace Understory.Models.Tests;

/// <summary>Where tests find their files.</summary>
internal static class TestData
{
    /// <summary>
    /// The folder of data that a clone does not have: <c>UNDERSTORY_TEST_DATA</c>, else a <c>shared/data</c> beside some folder above the
    /// tests. Null if there is none.
    /// </summary>
    public static string? Folder { get; } =
        Environment.GetEnvironmentVariable("UNDERSTORY_TEST_DATA") is { Length: > 0 } named
            ? named
            : Above(folder => Directory.Exists(Path.Combine(folder, "shared", "data")) ? Path.Combine(folder, "shared", "data") : null);

    /// <summary>The root of the checkout.</summary>
    public static string Repository { get; } =
        Above(folder => File.Exists(Path.Combine(folder, "ServerSolution.sln")) ? folder : null)
        ?? throw new DirectoryNotFoundException("The tests do not lie in a checkout.");

    /// <summary>A file of <see cref="Folder"/>.</summary>
    public static string Shared(string path) => Path.Combine(Folder ?? throw new DirectoryNotFoundException("No test data."), path);

    /// <summary>A file of tests/Fixtures.</summary>
    public static string Fixture(string path) => Path.Combine(Repository, "tests", "Fixtures", path);

    /// <summary>Why tests that need <paramref name="path"/> of <see cref="Folder"/> cannot run; null if they can.</summary>
    public static string? ReasonToSkip(string path) =>
        Folder is null ? "UNDERSTORY_TEST_DATA is not set and no shared/data lies above the tests."
        : Path.Exists(Path.Combine(Folder, path)) ? null
        : $"{path} is not in {Folder}.";

    private static string? Above(Func<string, string?> find)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (find(folder.FullName) is string found)
            {
                return found;
            }
        }

        return null;
    }
}

/// <summary>A test of data that a clone does not have; skipped without it.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedDataFactAttribute : FactAttribute
{
    public SharedDataFactAttribute(string path) => Skip = TestData.ReasonToSkip(path);
}

/// <inheritdoc cref="SharedDataFactAttribute"/>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SharedDataTheoryAttribute : TheoryAttribute
{
    public SharedDataTheoryAttribute(string path) => Skip = TestData.ReasonToSkip(path);
}
