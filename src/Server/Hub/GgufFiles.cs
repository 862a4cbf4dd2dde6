using System.Text.RegularExpressions;

namespace Understory.Server.Hub;

/// <summary>A model in one GGUF file, or in parts that lie beside each other.</summary>
/// <param name="Paths">Within the repository, with '/'; the parts in order.</param>
/// <param name="Quantisation">As the name has it, in capitals: <c>Q4_K_M</c>; "" where it has none.</param>
public sealed record GgufModel(IReadOnlyList<string> Paths, string Quantisation, long Bytes);

/// <summary>Which models a repository's GGUF files are, and which of them is taken where nobody says.</summary>
public static partial class GgufFiles
{
    /// <summary>From the smallest to the largest.</summary>
    private static readonly string[] Types =
    [
        "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "Q2_K_S", "Q2_K", "Q2_K_L", "Q2_K_XL", "IQ3_XXS",
        "IQ3_XS", "Q3_K_S", "IQ3_S", "IQ3_M", "Q3_K_M", "Q3_K_L", "Q3_K_XL", "IQ4_XS", "MXFP4", "MXFP4_MOE", "NVFP4", "IQ4_NL", "Q4_0",
        "Q4_K_S", "Q4_K_M", "Q4_K_L", "Q4_K_XL", "Q4_1", "Q5_K_S", "Q5_0", "Q5_K_M", "Q5_K_L", "Q5_K_XL", "Q5_1", "Q6_K", "Q6_K_L",
        "Q6_K_XL", "Q8_0", "Q8_K_XL", "BF16", "F16", "F32",
    ];

    private static readonly int Usual = Array.IndexOf(Types, "Q4_K_M");

    public static bool IsGguf(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);

    /// <summary>The models among some files. What sees pictures for one (<c>mmproj</c>) is none, nor what a quantiser measured.</summary>
    /// <param name="files">Paths and sizes.</param>
    public static IReadOnlyList<GgufModel> Models(IEnumerable<(string Path, long Bytes)> files) =>
    [
        .. files.Where(file => IsGguf(file.Path) && !Beside().IsMatch(NameOf(file.Path)))
            .OrderBy(file => file.Path, StringComparer.Ordinal)
            .GroupBy(file => Part().Replace(file.Path, ".gguf"))
            .Select(parts => new GgufModel([.. parts.Select(part => part.Path)], QuantisationOf(parts.Key), parts.Sum(part => part.Bytes))),
    ];

    /// <summary>The model of a name: its file, any of its parts, or its quantisation. Null: there is none.</summary>
    /// <exception cref="HubException">Several are quantised so.</exception>
    public static GgufModel? Named(IReadOnlyList<GgufModel> models, string name) =>
        models.FirstOrDefault(model => model.Paths.Contains(name))
            ?? Single([.. models.Where(model => model.Quantisation.Equals(name, StringComparison.OrdinalIgnoreCase))]);

    /// <summary>Q4_K_M, else the next larger, else the largest. Null: there is none.</summary>
    /// <exception cref="HubException">There are several of that size.</exception>
    public static GgufModel? Default(IReadOnlyList<GgufModel> models)
    {
        GgufModel[] known = [.. models.Where(model => Rank(model) >= 0).OrderBy(Rank).ThenBy(model => model.Quantisation.Length)];
        if (known.Length == 0)
        {
            return models.MaxBy(model => model.Bytes);
        }

        string chosen = (known.FirstOrDefault(model => Rank(model) >= Usual) ?? known[^1]).Quantisation;
        return Single([.. known.Where(model => model.Quantisation == chosen)]);
    }

    /// <summary>For people: what can be asked for.</summary>
    public static string Names(IReadOnlyList<GgufModel> models) => models.Count == 0 ? "none"
        : string.Join(", ", models.Select(model => model.Quantisation.Length > 0 ? model.Quantisation : model.Paths[0]).Distinct());

    private static GgufModel? Single(GgufModel[] found) => found.Length < 2 ? found.FirstOrDefault() : throw new HubException(
        $"There are {found.Length} models in {found[0].Quantisation}: {string.Join(", ", found.Select(model => model.Paths[0]))}; name one "
            + "as OWNER/NAME:FILE.gguf.");

    private static int Rank(GgufModel model) => Array.IndexOf(Types, model.Quantisation.Replace("UD-", "", StringComparison.Ordinal));

    private static string QuantisationOf(string path) => Type().Match(path) is { Success: true } match
        ? match.Groups[1].Value.ToUpperInvariant() : "";

    private static string NameOf(string path) => path[(path.LastIndexOf('/') + 1)..];

    [GeneratedRegex(@"-[0-9]{5}-of-[0-9]{5}\.gguf$", RegexOptions.IgnoreCase)]
    private static partial Regex Part();

    [GeneratedRegex(@"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8](?:_[0-9A-Z]+)*|TQ[12]_0|BF16|F16|F32|MXFP4(?:_MOE)?|NVFP4))\.gguf$",
        RegexOptions.IgnoreCase)]
    private static partial Regex Type();

    [GeneratedRegex(@"mmproj|imatrix", RegexOptions.IgnoreCase)]
    private static partial Regex Beside();
}
