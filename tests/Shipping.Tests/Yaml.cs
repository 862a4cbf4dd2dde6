using YamlDotNet.RepresentationModel;

namespace Understory.Shipping.Tests;

/// <summary>A YAML file, looked through.</summary>
internal sealed class Yaml
{
    private readonly YamlStream _stream = [];

    private Yaml(string path)
    {
        using var text = new StreamReader(path);
        _stream.Load(text);
    }

    public IReadOnlyList<YamlMappingNode> Documents => [.. _stream.Documents.Select(document => (YamlMappingNode)document.RootNode)];

    public YamlMappingNode Root => Documents.Single();

    public IEnumerable<YamlNode> AllNodes => _stream.Documents.SelectMany(document => document.AllNodes);

    public static Yaml Read(string path) => new(path);

    /// <summary>The values under a key, wherever it stands.</summary>
    public IEnumerable<string> All(string key) => AllNodes.OfType<YamlMappingNode>()
        .Where(node => node.Children.ContainsKey(key)).Select(node => node.Children[key].ToString());

    public string Write()
    {
        using var text = new StringWriter();
        _stream.Save(text, assignAnchors: false);
        return text.ToString();
    }
}
