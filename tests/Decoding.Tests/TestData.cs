namespace Understory.Decoding.Tests;

/// <summary>Data for tests that a user's clone does not have; tests that read it are skipped where it is absent.</summary>
internal static class TestData
{
    private static readonly string? Folder = Find();

    public static bool Has(string name) => Folder is not null && File.Exists(Path.Combine(Folder, name));

    public static string PathOf(string name) => Path.Combine(Folder ?? "", name);

    private static string? Find()
    {
        string? named = Environment.GetEnvironmentVariable("UNDERSTORY_TEST_DATA");
        if (!string.IsNullOrEmpty(named))
        {
            return named;
        }

        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string data = Path.Combine(folder.FullName, "shared", "data");
            if (Directory.Exists(data))
            {
                return data;
            }
        }

        return null;
    }
}

/// <summary>A theory over a data file; skipped, with the reason, where the file is absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataTheoryAttribute : TheoryAttribute
{
    public DataTheoryAttribute(string name)
    {
        Name = name;
        if (!TestData.Has(name))
        {
            Skip = $"needs the data file {name}: set UNDERSTORY_TEST_DATA to the folder that holds it";
        }
    }

    public string Name { get; }
}

/// <summary>A fact over a data file; skipped, with the reason, where the file is absent.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class DataFactAttribute : FactAttribute
{
    public DataFactAttribute(string name)
    {
        Name = name;
        if (!TestData.Has(name))
        {
            Skip = $"needs the data file {name}: set UNDERSTORY_TEST_DATA to the folder that holds it";
        }
    }

    public string Name { get; }
}
