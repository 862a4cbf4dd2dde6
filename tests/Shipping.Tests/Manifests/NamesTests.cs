using System.Text.RegularExpressions;
using Understory.Server.Hosting;
using Understory.Server.Observability;
using YamlDotNet.RepresentationModel;

namespace Understory.Shipping.Tests.Manifests;

/// <summary>Every option, variable, metric, port and path that a shipped file names is one that the program has.</summary>
public sealed partial class NamesTests
{
    private static readonly string[] _files =
    [
        "Dockerfile", "docker/trainer.Dockerfile", "compose.yaml", "docker/build-image.sh", "docker/prometheus.yml",
        "docker/prometheus/rules.yml",
        "docker/nginx/nginx.conf", "docker/nginx/replicas.conf",
        "docker/grafana/dashboards/understory.json", "deploy/understory.service",
        .. Directory.EnumerateFiles(Path.Combine(Tools.Root, "deploy/kubernetes"), "*.yaml")
        .Select(path => Path.GetRelativePath(Tools.Root, path)),
    ];

    public static TheoryData<string> Files => [.. _files];

    [Theory]
    [MemberData(nameof(Files))]
    public void Variables_and_flags_are_options(string file)
    {
        string text = Text(file);
        HashSet<string> variables = [.. OptionCatalog.All.Select(option => option.Variable)];
        Assert.All(Variable().Matches(text), name => Assert.Contains(name.Value, variables));
        // Flags of understory alone: those of other programs stand in other files.
        if (file is "deploy/understory.service" or "docker/nginx/replicas.conf" or "Dockerfile")
        {
            HashSet<string> flags = [.. OptionCatalog.All.Select(option => option.Flag)];
            string[] others =
            [
                "--from", "--chown", "--interval", "--timeout", "--start-period", "--start-interval", "--retries", "--gpus", "--now",
            ];
            Assert.All(Flag().Matches(text).Select(flag => flag.Value).Except(others), flag => Assert.Contains(flag, flags));
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Metrics_are_measured(string file)
    {
        HashSet<string> measured = Measured();
        Assert.All(Metric().Matches(Text(file)).Select(name => Suffix().Replace(name.Value, "")), name => Assert.Contains(name, measured));
    }

    [Fact]
    public void Values_are_what_the_options_take()
    {
        foreach (
            YamlMappingNode environment in Yaml.Read(Full("compose.yaml")).AllNodes.Concat(
                Yaml.Read(Full("deploy/kubernetes/config.yaml")).AllNodes).OfType<YamlMappingNode>())
        {
            var said = environment.Children.Where(pair => pair.Key.ToString().StartsWith("UNDERSTORY_", StringComparison.Ordinal)
                && pair.Value is YamlScalarNode { Value: var value } && !value!.Contains('$'))
                .ToDictionary(pair => pair.Key.ToString(), pair => pair.Value.ToString());
            // The key's file is not here.
            said.Remove("UNDERSTORY_API_KEY_FILE");
            ServerOptions.From(new OptionSource(_ => null, said.GetValueOrDefault, null));
        }
    }

    [Fact]
    public void Everybody_means_the_same_port()
    {
        string port = Packages.Dockerfile.Variables(Text("Dockerfile")).Single(pair => pair.Name == "UNDERSTORY_PORT").Value!;
        Assert.Equal(port, Packages.Dockerfile.Of(Text("Dockerfile"), "EXPOSE"));
        Assert.Equal([port], Yaml.Read(Full("docker/prometheus.yml")).All("port"));
        Assert.Equal([port], Yaml.Read(Full("deploy/kubernetes/deployment.yaml")).All("containerPort"));
        Assert.Equal([port], Yaml.Read(Full("deploy/kubernetes/config.yaml")).All("UNDERSTORY_PORT"));
        Assert.All(ReplicaPort().Matches(Text("docker/nginx/replicas.conf")), found => Assert.Equal(port, found.Groups[1].Value));
        string[] published = [.. Yaml.Read(Full("compose.yaml")).All("ports").Select(Convert.ToString)!];
        Assert.Contains(published, text => text.Contains($":{port}:{port}", StringComparison.Ordinal));
        Assert.Contains(published, text => text.Contains(":8088:8088", StringComparison.Ordinal));
        Assert.Contains("listen 8088;", Text("docker/nginx/nginx.conf"));
        // Nothing is published beyond this machine.
        Assert.All(Yaml.Read(Full("compose.yaml")).AllNodes.OfType<YamlMappingNode>().Where(node => node.Children.ContainsKey("ports"))
            .SelectMany(node => (YamlSequenceNode)node["ports"]), line => Assert.StartsWith("127.0.0.1:", line.ToString()));
    }

    [Fact]
    public void Probes_and_checks_ask_for_paths_that_answer()
    {
        string endpoints = string.Concat(Directory.EnumerateFiles(Full("src/Server/Endpoints"), "*.cs").Select(File.ReadAllText));
        IEnumerable<string> paths =
            new[] { "deployment.yaml", "monitor.yaml" }.SelectMany(file => Yaml.Read(Full($"deploy/kubernetes/{file}")).All("path"))
            .Where(path => path.StartsWith('/'))
            .Concat(Location().Matches(Text("docker/nginx/nginx.conf")).Select(location => location.Groups[1].Value)).Distinct();
        Assert.Equal(["/health", "/metrics"], paths.Except(["/nowhere"]).Order());
        Assert.All(paths.Except(["/nowhere"]), path => Assert.Contains($"\"{path}\"", endpoints));
    }

    [Fact]
    public void Whoever_stops_a_server_waits_until_it_has_drained()
    {
        double drain = new ServerOptions().Drain.TotalSeconds;
        Assert.All(Yaml.Read(Full("compose.yaml")).All("stop_grace_period"), text => Assert.True(double.Parse(text.TrimEnd('s')) > drain));
        Assert.True(double.Parse(Regex.Match(Text("deploy/understory.service"), "TimeoutStopSec=(\\d+)").Groups[1].Value) > drain);
        double configured = double.Parse(Yaml.Read(Full("deploy/kubernetes/config.yaml")).All("UNDERSTORY_DRAIN_SECONDS").Single());
        Assert.True(
            double.Parse(Yaml.Read(Full("deploy/kubernetes/deployment.yaml")).All("terminationGracePeriodSeconds").Single()) > configured);
    }

    [Fact]
    public void Files_that_are_mounted_or_copied_are_there()
    {
        IEnumerable<string> sources = Yaml.Read(Full("compose.yaml")).AllNodes.OfType<YamlScalarNode>().Select(node => node.Value!)
            .Where(value => value.StartsWith("./docker", StringComparison.Ordinal)).Select(value => value.Split(':')[0])
            .Where(path => path != "./docker/secrets/api-key");
        Assert.NotEmpty(sources);
        Assert.All(sources, path => Assert.True(Path.Exists(Full(path)), path));
        foreach (string line in File.ReadLines(Full(".dockerignore")).Where(line => line.StartsWith('!')))
        {
            Assert.True(Path.Exists(Full(line[1..])), line);
        }
    }

    [Fact]
    public void Compose_starts_on_a_processor_alone_and_keeps_models_where_they_can_be_written()
    {
        YamlMappingNode compose = Yaml.Read(Full("compose.yaml")).Root;
        var always = ((YamlMappingNode)compose["services"]).Children
            .ToDictionary(service => service.Key.ToString(), service => ((YamlMappingNode)service.Value).Children)
            .Where(service => !service.Value.ContainsKey("profiles")).ToDictionary();
        Assert.Contains("server", always.Keys);
        Assert.All(always.Values, service => Assert.DoesNotContain(service.Keys, key => key.ToString() is "deploy" or "runtime" or "gpus"));

        const string Folder = "/models";
        Assert.Contains($"${{MODELS:-models}}:{Folder}", Yaml.Read(Full("compose.yaml")).AllNodes.Select(node => node.ToString()));
        Assert.Contains("models", ((YamlMappingNode)compose["volumes"]).Children.Keys.Select(key => key.ToString()));
        string image = Text("Dockerfile");
        Assert.Equal(Folder, Packages.Dockerfile.Of(image, "VOLUME"));
        Assert.Equal(Folder, Packages.Dockerfile.Variables(image).Single(pair => pair.Name == "HF_HOME").Value);
        Assert.EndsWith($"--chown={Packages.Dockerfile.Of(image, "USER")} /image{Folder} {Folder}", Packages.Dockerfile.Of(image, "COPY"));
    }

    [Fact]
    public void The_parts_of_the_Kubernetes_manifests_name_each_other()
    {
        Dictionary<string, YamlMappingNode> kinds = Directory.EnumerateFiles(Full("deploy/kubernetes"), "*.yaml")
            .Where(path => !path.EndsWith("gpu.yaml", StringComparison.Ordinal))
            .SelectMany(path => Yaml.Read(path).Documents).ToDictionary(document => document["kind"].ToString());
        YamlNode pod = kinds["Deployment"]["spec"]["template"];
        string label = pod["metadata"]["labels"]["app.kubernetes.io/name"].ToString();
        Assert.Equal(label, kinds["Deployment"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"].ToString());
        Assert.Equal(label, kinds["Service"]["spec"]["selector"]["app.kubernetes.io/name"].ToString());
        Assert.Equal(label, kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"].ToString());
        Assert.Equal(label, kinds["ServiceMonitor"]["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"].ToString());
        Assert.Equal(kinds["Deployment"]["metadata"]["name"], kinds["ScaledObject"]["spec"]["scaleTargetRef"]["name"]);
        YamlNode container = pod["spec"]["containers"][0];
        Assert.Equal(kinds["ConfigMap"]["metadata"]["name"], container["envFrom"][0]["configMapRef"]["name"]);
        Assert.Equal(container["ports"][0]["name"], kinds["Service"]["spec"]["ports"][0]["targetPort"]);
        Assert.Equal(kinds["Service"]["spec"]["ports"][0]["name"], kinds["ServiceMonitor"]["spec"]["endpoints"][0]["port"]);
        Assert.Equal(
            ((YamlSequenceNode)container["volumeMounts"]).Select(mount => mount["name"]), ((YamlSequenceNode)pod["spec"]["volumes"])
                .Select(volume => volume["name"]));
        Assert.Equal(kinds["PersistentVolumeClaim"]["metadata"]["name"], pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]);
        string key = kinds["ConfigMap"]["data"]["UNDERSTORY_API_KEY_FILE"].ToString();
        Assert.Equal(key, $"{container["volumeMounts"][1]["mountPath"]}/{pod["spec"]["volumes"][1]["secret"]["items"][0]["path"]}");
        Assert.Equal("1654", pod["spec"]["securityContext"]["runAsUser"].ToString());
        Assert.StartsWith("1654:", Packages.Dockerfile.Of(Text("Dockerfile"), "USER"));
        Assert.Equal(
            Directory.EnumerateFiles(Full("deploy/kubernetes")).Select(Path.GetFileName)
                .Except(["kustomization.yaml", "autoscaler.yaml", "monitor.yaml", "gpu.yaml"]).Order(),
            ((YamlSequenceNode)kinds["Kustomization"]["resources"]).Select(file => file.ToString()).Order());
    }

    [ProgramFact("systemd-analyze")]
    public async Task The_unit_is_sound_and_shut_off()
    {
        // The one complaint is that the program is not installed here.
        (_, string complaints) = await Daemon.RunAsync("systemd-analyze", ["verify", "--man=no", Full("deploy/understory.service")]);
        Assert.All(complaints.Split('\n', StringSplitOptions.RemoveEmptyEntries), line =>
            Assert.Contains("/opt/understory/understory is not executable", line));
        (int code, string report) = await Daemon.RunAsync("systemd-analyze",
            ["security", "--offline=true", "--threshold=30", "--no-pager", Full("deploy/understory.service")]);
        Assert.True(code == 0, report);
    }

    [ProgramFact("kubectl")]
    public async Task Kustomize_builds_the_manifests() =>
        Assert.Contains("kind: Deployment", await Daemon.DoAsync("kubectl", ["kustomize", Full("deploy/kubernetes")]));

    private static HashSet<string> Measured()
    {
        object scope = new();
        var names = new HashSet<string>();
        using var listener = new System.Diagnostics.Metrics.MeterListener();
        listener.InstrumentPublished = (instrument, _) =>
        {
            if (ReferenceEquals(instrument.Meter.Scope, scope))
            {
                names.Add(instrument.Name);
            }
        };
        listener.Start();
        using var server = new ServerMetrics(scope, () => 0, () => 0, 1, () => 0, () => null);
        using var process = new ProcessMetrics(scope);
        Assert.True(names.Count > 20);
        return names;
    }

    private static string Text(string file) => File.ReadAllText(Full(file));

    private static string Full(string file) => Path.Combine(Tools.Root, file);

    [GeneratedRegex(@"\bUNDERSTORY_[A-Z_]+[A-Z]\b")]
    private static partial Regex Variable();

    [GeneratedRegex(@"(?<![\w-])--[a-z][a-z-]+")]
    private static partial Regex Flag();

    [GeneratedRegex(@"(?<![/\w])(understory_(?!api_key)|process_|dotnet_gc)[a-z_]+")]
    private static partial Regex Metric();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex Suffix();

    [GeneratedRegex(@"replica-\d:(\d+)")]
    private static partial Regex ReplicaPort();

    [GeneratedRegex(@"location = (/\S+)")]
    private static partial Regex Location();
}
