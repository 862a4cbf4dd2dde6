namespace Understory.Training.Corpus;

/// <summary>
/// What Debian says of a package's licences, if it says so in its machine-readable format (DEP-5,
/// https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/).
/// </summary>
/// <param name="Licences">
/// Short names for its files, in order; what holds for the packaging (<c>debian/*</c>) and for files that are no modules alone is left out.
/// </param>
internal sealed record Copyright(IReadOnlyList<string> Licences)
{
    private static readonly HashSet<string> _passedOver = ["doc", "docs", "test", "tests", "example", "examples", "benchmarks"];

    private static readonly string[] _permissive =
    [
        "mit", "expat", "bsd", "apache", "psf", "python", "isc", "zlib", "0bsd", "unlicense", "public-domain", "publicdomain", "cc0",
        "mit-0", "x11",
    ];

    /// <summary>The licence that keeps the package out; null if all are permissive, or one may choose one that is.</summary>
    public string? Objection => Licences.Count == 0 ? "no licence is named" : Licences.FirstOrDefault(licence => !IsPermissive(licence));

    /// <returns>Null if it is not in the machine-readable format.</returns>
    public static Copyright? Parse(string text)
    {
        text = text.ReplaceLineEndings("\n");
        if (!text.Contains("copyright-format/1", StringComparison.Ordinal) && !text.Contains("dep5", StringComparison.OrdinalIgnoreCase))
        {
            return null;
        }

        var licences = new List<string>();
        foreach (string paragraph in text.Split("\n\n"))
        {
            string? files = Field(paragraph, "Files:");
            if (files is not null && !files.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).All(IsNoModule)
                && Field(paragraph, "License:")?.Split('\n')[0].Trim() is { Length: > 0 } licence && !licences.Contains(licence))
            {
                licences.Add(licence);
            }
        }

        return new Copyright(licences);
    }

    /// <summary>"A or B" is permissive if one of them is, "A and B" if both are.</summary>
    private static bool IsPermissive(string licence) => licence.ToLowerInvariant().Split(" and ")
        .All(part => part.Split(" or ").Any(choice => _permissive.Any(
            name => choice.Trim(' ', ',', '(', ')') is { } trimmed && trimmed.StartsWith(name, StringComparison.Ordinal)
                && !trimmed.Contains("gpl", StringComparison.Ordinal))));

    /// <summary>Whether a pattern of files is that of the packaging, of another kind of file, or of a folder that is not read.</summary>
    private static bool IsNoModule(string pattern)
    {
        string extension = Path.GetExtension(pattern);
        return pattern.StartsWith("debian/", StringComparison.Ordinal) || IsPassedOver(pattern)
            || (extension.Length > 1 && !extension.StartsWith(".py", StringComparison.Ordinal) && !extension.Contains('*'));
    }

    /// <summary>Whether a file lies in a folder that nothing is taken from: tests, documentation, examples.</summary>
    public static bool IsPassedOver(string path) => path.Split('/').SkipLast(1).Any(_passedOver.Contains);

    /// <summary>A field's value with its continuation lines.</summary>
    private static string? Field(string paragraph, string name)
    {
        string[] lines = paragraph.Split('\n');
        int at = Array.FindIndex(lines, line => line.StartsWith(name, StringComparison.OrdinalIgnoreCase));
        return at < 0 ? null
            : string.Join('\n', lines.Skip(at + 1).TakeWhile(line => line.StartsWith(' ') || line.StartsWith('\t'))
                .Prepend(lines[at][name.Length..]));
    }
}
