namespace Understory.Tests;

/// <summary>
/// The pair that tests decode with: a small GPT-2 of code with its draft and n-gram, which has no chat template. It never changes, whatever
/// becomes of the demo that the program comes with.
/// </summary>
internal static class Standin
{
    public static string Folder { get; } = Find();

    public static string Target => Path.Combine(Folder, "target");

    public static string Draft => Path.Combine(Folder, "draft");

    public static string Ngram => Path.Combine(Folder, "draft.ngram");

    /// <summary>Both models' tokenizer.</summary>
    public static string TokenizerFile => Path.Combine(Target, "tokenizer.json");

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string standin = Path.Combine(folder.FullName, "tests", "Fixtures", "standin");
            if (Directory.Exists(standin))
            {
                return standin;
            }
        }

        throw new DirectoryNotFoundException("tests/Fixtures/standin is not above the tests' folder.");
    }
}
