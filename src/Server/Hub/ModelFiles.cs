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

    /// <param name="draft">It may be a head, which speaks its model's tokens and has no tokenizer.</param>
    /// <exception cref="HubException">The repository holds nothing that can be served, or several things and none is named.</exception>
    public static IReadOnlyList<HubFile> Choose(HubReference reference, IReadOnlyList<HubFile> all, bool draft)
    {
        IReadOnlyList<GgufModel> ggufs = GgufFiles.Models(all.Select(file => (file.Path, file.Size)));
        if (reference.File is { } name)
        {
            return Files(GgufFiles.Named(ggufs, name) ?? throw new HubException(all.Any(file => file.Path == name)
                ? $"'{name}' is no model in GGUF; leave it out to fetch the whole one."
                : $"{reference.Repository} has no {(GgufFiles.IsGguf(name) ? "file" : "model in")} '{name}'; it has "
                    + $"{GgufFiles.Names(ggufs)}."));
        }

        HubFile[] top = [.. all.Where(file => !file.Path.Contains('/'))];
        HubFile[] weights = Weights(top);
        if (weights.Length > 0)
        {
            HubFile[] settings = [.. top.Where(file => Settings.Contains(file.Path) || file.Path == "model.safetensors.index.json")];
            foreach (string needed in (string[])(draft ? ["config.json"] : ["config.json", "tokenizer.json"]))
            {
                if (settings.All(file => file.Path != needed))
                {
                    throw new HubException($"{reference} has no {needed}; such a model cannot be served.");
                }
            }

            return [.. settings, .. weights];
        }

        string pickled = all.Any(file => file.Path.EndsWith(".bin", StringComparison.Ordinal))
            ? "; pickled .bin weights are not read: convert them to safetensors" : "";
        return Files(GgufFiles.Default(ggufs)
            ?? throw new HubException($"{reference} holds neither *.safetensors nor *.gguf, so it cannot be served{pickled}."));

        HubFile[] Files(GgufModel model) => [.. model.Paths.Select(path => all.First(file => file.Path == path))];
    }

    /// <summary>All parts of one set: a repository may hold "model" beside "consolidated", which are the same weights twice.</summary>
    private static HubFile[] Weights(HubFile[] top)
    {
        HubFile[] weights = [.. top.Where(file => file.Path.EndsWith(".safetensors", StringComparison.Ordinal))];
        HubFile[] named = [.. weights.Where(file => Usual().IsMatch(file.Path))];
        return named.Length > 0 ? named : weights;
    }

    [GeneratedRegex(@"^model(-\d+-of-\d+)?\.safetensors$")]
    private static partial Regex Usual();
}
