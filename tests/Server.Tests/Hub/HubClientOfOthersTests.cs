using System.Diagnostics;
using System.Text.Json.Nodes;
using Understory.Server.Hub;
using Understory.Server.Tests.Clients;

namespace Understory.Server.Tests.Hub;

/// <summary>The cache as the hub's own client sees it.</summary>
public sealed class HubClientOfOthersTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory-hub").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [NodePackageFact("@huggingface/hub")]
    public async Task The_hubs_own_client_finds_all_files_in_place_and_fetches_none()
    {
        await using FakeHub hub = await FakeHub.StartAsync();
        hub.Add("config.json", "{}"u8.ToArray());
        hub.Add("tokenizer.json", "{\"model\": {}}"u8.ToArray());
        hub.Add("model.safetensors", new byte[100_000], large: true);
        var reference = new HubReference(FakeHub.Repository, HubReference.DefaultRevision, null);
        using (var client = new HubClient(new HubSettings(hub.Address, null, _folder, Offline: false), TimeSpan.FromMilliseconds(1)))
        {
            var download = new HubDownload(client, new HubCache(_folder));
            await download.FetchAsync(reference, await download.PlanAsync(reference, draft: false, default), _ => { }, default);
        }

        hub.Requests.Clear();
        JsonNode seen = await RunAsync("hub-cache.mjs", hub.Address.ToString().TrimEnd('/'), _folder, FakeHub.Repository);
        Assert.Empty((JsonArray)seen["warnings"]!);
        JsonNode repository = Assert.Single((JsonArray)seen["repos"]!)!;
        Assert.Equal((FakeHub.Repository, "model"), ((string)repository["name"]!, (string)repository["type"]!));
        Assert.Equal("main", (string)Assert.Single((JsonArray)repository["refs"]!)!);
        Assert.Equal(hub.Commit, (string)Assert.Single((JsonArray)repository["commits"]!)!);
        Assert.Equal([2, 13, 100_000], repository["sizes"]!.AsArray().Select(size => (int)size!));
        Assert.Equal(new HubCache(_folder).Find(reference), (string)seen["snapshot"]!);
        Assert.DoesNotContain(hub.Requests, request => request.Contains("resolve", StringComparison.Ordinal));
    }

    private static async Task<JsonNode> RunAsync(params string[] arguments)
    {
        var start = new ProcessStartInfo("node", arguments)
        {
            WorkingDirectory = NodeFactAttribute.Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process node = Process.Start(start)!;
        Task<string> errors = node.StandardError.ReadToEndAsync();
        string output = await node.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(3));
        Assert.True(output.Length > 0, await errors);
        return JsonNode.Parse(output)!;
    }
}

/// <summary>Needs node and one package of what <c>npm install</c> puts beside the scripts.</summary>
public sealed class NodePackageFactAttribute : FactAttribute
{
    public NodePackageFactAttribute(string package)
    {
        if (!Tools.Has("node") || !Directory.Exists(Path.Combine(NodeFactAttribute.Folder, "node_modules", package)))
        {
            Skip = $"node or the npm package {package} is not installed: run npm install in tests/Server.Tests/Clients/node.";
        }
    }
}

/// <summary>As <see cref="ProcessFactAttribute"/>, with data.</summary>
public sealed class ProcessTheoryAttribute : TheoryAttribute
{
    public ProcessTheoryAttribute() => Skip = new ProcessFactAttribute().Skip;
}
