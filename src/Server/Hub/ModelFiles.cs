using System.Text.RegularExpressions;

namespace Understory.Server.Hub;

/// <summary>
/// Which files of a repository a server needs: one set of weights, the tokenizer and the settings; nothing else is fetched.
/// </summary>
public static partial class ModelFiles
{
    private static readonly string[] Settings =
    [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", "chat_template.json",
    ];

    /// <summary>GGUF element types that can be read, best first.</summary>
    private static readonly string[] GgufTypes = ["BF16", "F16", "Q8_0", "F32"];

    /// <exception cref="HubException">The repository holds nothing that can be served, or several things and none is named.</exception>
    public static IReadOnlyList<HubFile> Choose(HubReference reference, IReadOnlyList<HubFile> all)
    {
        if (reference.File is { } name)
        {
            HubFile file = all.FirstOrDefault(file => file.Path == name)
                ?? throw new HubException($"{reference.Repository} has no file '{name}'; it has {Names(all.Where(IsGguf))}.");
            return IsGguf(file) ? [file] : throw new HubException($"'{name}' is no GGUF file; leave it out to fetch the whole model.");
        }

        HubFile[] top = [.. all.Where(file => !file.Path.Contains('/'))];
        HubFile[] weights = Weights(top);
        if (weights.Length > 0)
        {
            HubFile[] settings = [.. top.Where(file => Settings.Contains(file.Path) || file.Path == "model.safetensors.index.json")];
            foreach (string needed in (string[])["config.json", "tokenizer.json"])
            {
                if (settings.All(file => file.Path != needed))
                {
                    throw new HubException($"{reference} has no {needed}; such a model cannot be served.");
                }
            }

            return [.. settings, .. weights];
        }

        HubFile[] ggufs = [.. all.Where(IsGguf)];
        string pickled = all.Any(file => file.Path.EndsWith(".bin", StringComparison.Ordinal))
            ? "; pickled .bin weights are not read: convert them to safetensors" : "";
        return ggufs switch
        {
            [] => throw new HubException(
                $"{reference} holds neither *.safetensors nor *.gguf, so it cannot be served{pickled}."),
            [var only] => [only],
            _ => [Preferred(reference, ggufs)],
        };
    }

    /// <summary>All parts of one set: a repository may hold "model" beside "consolidated", which are the same weights twice.</summary>
    private static HubFile[] Weights(HubFile[] top)
    {
        HubFile[] weights = [.. top.Where(file => file.Path.EndsWith(".safetensors", StringComparison.Ordinal))];
        HubFile[] named = [.. weights.Where(file => Usual().IsMatch(file.Path))];
        return named.Length > 0 ? named : weights;
    }

    private static HubFile Preferred(HubReference reference, HubFile[] ggufs)
    {
        foreach (string type in GgufTypes)
        {
            HubFile[] found = [.. ggufs.Where(file => file.Path.Contains(type, StringComparison.OrdinalIgnoreCase))];
            if (found.Length == 1)
            {
                return found[0];
            }
        }

        throw new HubException($"{reference} holds several GGUF files; name one as {reference}:FILE. It has {Names(ggufs)}; types that "
            + $"can be read: {string.Join(", ", GgufTypes)}.");
    }

    private static bool IsGguf(HubFile file) => file.Path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);

    private static string Names(IEnumerable<HubFile> files) => string.Join(", ", files.Select(file => file.Path)) is { Length: > 0 } names
        ? names : "none";

    [GeneratedRegex(@"^model(-\d+-of-\d+)?\.safetensors$")]
    private static partial Regex Usual();
}
