using System.Globalization;
using System.Text.Json.Nodes;
using YamlDotNet.RepresentationModel;

namespace Understory.Shipping.Tests.Monitoring;

/// <summary>Prometheus and Grafana, as shipped: the real Prometheus reads the really running server.</summary>
public sealed class MonitoringTests : IDisposable
{
    private const string Key = "test-key";
    private static readonly string _prometheus = Path.Combine(Tools.Root, "docker", "prometheus");
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [ProgramFact("prometheus", "promtool")]
    public async Task Every_panel_shows_data_while_a_real_Prometheus_reads_a_server_at_work()
    {
        string keyFile = Path.Combine(_folder, "key");
        File.WriteAllText(keyFile, Key);
        using RunningServer server =
            await RunningServer.StartAsync(RunningServer.Built, ["--port", "0", "--api-key-file", keyFile], key: Key);
        int port = Tools.FreePort();
        string config = Configure(keyFile, server.Address.Authority);
        await Daemon.DoAsync("promtool", ["check", "config", config]);
        using Daemon prometheus = Daemon.Start(
            "prometheus",
            ["--config.file", config, "--storage.tsdb.path", Path.Combine(_folder, "data"), "--web.listen-address", $"127.0.0.1:{port}"]);
        using var client = new HttpClient { BaseAddress = new Uri($"http://127.0.0.1:{port}") };

        var dark = new List<string> { "nothing was asked yet" };
        int round = 0;
        await prometheus.UntilAsync(async () =>
        {
            // Two stages at work, one prompt that comes again, one refusal.
            string mode = round++ % 2 == 0 ? "staged" : "ngram";
            await server.CompleteAsync($"\"prompt\": \"def add(a, b):\\n    return a + b\\n\\ndef sub(a, b):\", \"max_tokens\": 48, "
                + $"\"ignore_eos\": true, \"speculation\": \"{mode}\"");
            await server.PostAsync("/v1/completions", "{\"prompt\": 1.5}");
            if (round % 5 == 0)
            {
                dark.Clear();
                foreach ((string panel, string query) in Dashboard.Queries("5s"))
                {
                    if (!await HasDataAsync(client, query))
                    {
                        dark.Add($"{panel}: {query}");
                    }
                }
            }

            return dark.Count == 0;
        });
        Assert.Empty(dark);

        // The rules were read too, and none has anything to say.
        JsonNode rules = JsonNode.Parse(await client.GetStringAsync("/api/v1/rules"))!["data"]!["groups"]![0]!["rules"]!;
        Assert.All(rules.AsArray(), rule => Assert.Equal("inactive", (string)rule!["state"]!));

        (int code, string complaints) = await CheckMetricsAsync(await server.Client.GetStringAsync("/metrics"));
        Assert.Equal((0, ""), (code, complaints));
    }

    [ProgramFact("promtool")]
    public async Task The_alert_rules_are_well_formed_and_fire_when_they_should()
    {
        await Daemon.DoAsync("promtool", ["check", "rules", Path.Combine(_prometheus, "rules.yml")]);
        await Daemon.DoAsync("promtool", ["test", "rules", Path.Combine(_prometheus, "rules.test.yml")]);
    }

    [Fact]
    public void Every_alert_has_a_test_that_fires_it()
    {
        var alerts = Yaml.Read(Path.Combine(_prometheus, "rules.yml")).All("alert").Order();
        IEnumerable<string> fired = Yaml.Read(Path.Combine(_prometheus, "rules.test.yml")).AllNodes.OfType<YamlMappingNode>()
            .Where(node => node.Children.ContainsKey("exp_alerts")).Select(node => node.Children["alertname"].ToString());
        Assert.Equal(alerts, fired.Order());
    }

    [Fact]
    public void Panels_do_not_overlap_and_ask_the_provisioned_data_source()
    {
        string uid = Yaml.Read(Path.Combine(Tools.Root, "docker/grafana/provisioning/datasources/prometheus.yml")).All("uid").Single();
        var taken = new HashSet<(int, int)>();
        foreach (JsonNode panel in Dashboard.Json["panels"]!.AsArray()!)
        {
            JsonNode place = panel["gridPos"]!;
            Assert.True((int)place["x"]! + (int)place["w"]! <= 24, (string)panel["title"]!);
            for (int y = (int)place["y"]!; y < (int)place["y"]! + (int)place["h"]!; y++)
            {
                for (int x = (int)place["x"]!; x < (int)place["x"]! + (int)place["w"]!; x++)
                {
                    Assert.True(taken.Add((x, y)), $"{panel["title"]} lies over another panel.");
                }
            }
        }

        Assert.All(Dashboard.Panels, panel => Assert.Equal(uid, (string)panel["datasource"]!["uid"]!));
        Assert.All(Dashboard.Panels.SelectMany(panel => panel["targets"]!.AsArray()), target =>
            Assert.Equal(uid, (string)target!["datasource"]!["uid"]!));
        int[] ids = [.. Dashboard.Json["panels"]!.AsArray().Select(panel => (int)panel!["id"]!)];
        Assert.Equal(ids.Length, ids.Distinct().Count());
    }

    /// <summary>The shipped configuration, with this test's server in place of compose's names and time made short.</summary>
    private string Configure(string keyFile, string server)
    {
        var yaml = Yaml.Read(Path.Combine(Tools.Root, "docker", "prometheus.yml"));
        YamlMappingNode root = yaml.Root;
        ((YamlMappingNode)root["global"]).Children["scrape_interval"] = "1s";
        ((YamlMappingNode)root["global"]).Children["evaluation_interval"] = "1s";
        root.Children["rule_files"] = new YamlSequenceNode(Path.Combine(_prometheus, "rules.yml"));
        var job = (YamlMappingNode)root["scrape_configs"][0];
        ((YamlMappingNode)job["authorization"]).Children["credentials_file"] = keyFile;
        job.Children.Remove("dns_sd_configs");
        job.Add("static_configs", new YamlSequenceNode(new YamlMappingNode("targets", new YamlSequenceNode(server))));
        string path = Path.Combine(_folder, "prometheus.yml");
        File.WriteAllText(path, yaml.Write());
        return path;
    }

    private static async Task<bool> HasDataAsync(HttpClient prometheus, string query)
    {
        using HttpResponseMessage response = await prometheus.PostAsync("/api/v1/query", new FormUrlEncodedContent([new("query", query)]));
        if (response.StatusCode is System.Net.HttpStatusCode.ServiceUnavailable)
        {
            return false;
        }

        JsonNode answer = await response.JsonAsync();
        Assert.True((string)answer["status"]! == "success", $"{query}: {answer.ToJsonString()}");
        return answer["data"]!["result"]!.AsArray()
            .Any(series => double.IsFinite(double.Parse((string)series!["value"]![1]!, CultureInfo.InvariantCulture)));
    }

    private async Task<(int Code, string Output)> CheckMetricsAsync(string metrics)
    {
        string file = Path.Combine(_folder, "metrics");
        File.WriteAllText(file, metrics);
        return await Daemon.RunAsync("sh", ["-c", "promtool check metrics < \"$0\"", file]);
    }
}
