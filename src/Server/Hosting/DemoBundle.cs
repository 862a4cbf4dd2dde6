namespace Understory.Server.Hosting;

/// <summary>The models that come with the program and serve where none is named.</summary>
public static class DemoBundle
{
    public const string Name = "understory-demo";

    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "models", "demo");

    public static string Target => Part(Folder, "target");

    public static string Draft => Part(Folder, "draft");

    public static string Ngram => Path.Combine(Folder, "draft.ngram");

    /// <summary>A model of the bundle: a GGUF file, else a folder.</summary>
    internal static string Part(string folder, string name)
    {
        string file = Path.Combine(folder, name + ".gguf");
        return File.Exists(file) ? file : Path.Combine(folder, name);
    }
}
