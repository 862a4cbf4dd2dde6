using System.Text.Json.Nodes;

namespace Understory.Shipping.Tests.Monitoring;

/// <summary>The panels of the shipped Grafana dashboard, and their queries.</summary>
internal sealed class Dashboard
{
    public static JsonNode Json { get; } =
        JsonNode.Parse(File.ReadAllText(Path.Combine(Tools.Root, "docker/grafana/dashboards/understory.json")))!;

    public static IReadOnlyList<JsonNode> Panels { get; } =
        [.. Json["panels"]!.AsArray().Where(panel => (string)panel!["type"]! != "row").Select(panel => panel!)];

    /// <summary>Every query with the panel it belongs to, Grafana's variables filled in.</summary>
    /// <param name="interval">For <c>$__rate_interval</c>.</param>
    public static IEnumerable<(string Panel, string Query)> Queries(string interval) =>
        from panel in Panels
        from target in panel["targets"]!.AsArray()
        select ((string)panel["title"]!, ((string)target!["expr"]!).Replace("$__rate_interval", interval).Replace("$instance", ".*"));
}
