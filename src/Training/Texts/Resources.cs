namespace Understory.Training.Texts;

/// <summary>The curriculum's own texts, which the program carries with it.</summary>
internal static class Resources
{
    private const string Prefix = "curriculum/";

    /// <summary>The texts whose names begin so, in the order of their names.</summary>
    public static IEnumerable<string> Under(string start) => typeof(Resources).Assembly.GetManifestResourceNames()
        .Where(name => name.StartsWith(Prefix + start, StringComparison.Ordinal))
        .Order(StringComparer.Ordinal)
        .Select(Read);

    public static string Text(string name) => Read(Prefix + name);

    /// <summary>A text's parts between empty lines.</summary>
    public static string[] Paragraphs(string text) =>
        text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static string Read(string name)
    {
        using Stream stream = typeof(Resources).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"The program lacks its text {name}.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    }
}
