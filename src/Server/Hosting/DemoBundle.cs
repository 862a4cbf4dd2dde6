namespace Understory.Server.Hosting;

/// <summary>The models that come with the program and serve where none is named.</summary>
public static class DemoBundle
{
    public const string Name = "understory-demo";

    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "models", "demo");

    public static string Target => Path.Combine(Folder, "target");

    public static string Draft => Path.Combine(Folder, "draft");

    public static string Ngram => Path.Combine(Folder, "draft.ngram");
}
