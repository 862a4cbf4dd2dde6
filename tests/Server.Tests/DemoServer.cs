using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;

namespace Understory.Server.Tests;

/// <summary>A server on a free port with the stand-in for the demo, shared by the tests that need real text.</summary>
public sealed class DemoServer : IAsyncLifetime
{
    private ServerApp _app = null!;

    public HttpClient Client { get; private set; } = null!;

    public Uri Address => _app.Address;

    public async Task InitializeAsync()
    {
        _app = await StandinServer.StartAsync(new ServerOptions { Port = 0, Aliases = ["demo"] });
        Client = new HttpClient { BaseAddress = _app.Address };
    }

    public async Task DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }

    public Task<HttpResponseMessage> PostAsync(string path, string json) =>
        Client.PostAsync(path, new StringContent(json, Encoding.UTF8, "application/json"));

    /// <summary>The whole answer to a completion request of these fields.</summary>
    public async Task<JsonNode> CompleteAsync(string fields)
    {
        HttpResponseMessage response = await PostAsync("/v1/completions", $"{{{fields}}}");
        JsonNode body = await response.JsonAsync();
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    /// <summary>The texts of a completion's choices.</summary>
    public async Task<string[]> TextsAsync(string fields) =>
        [.. (await CompleteAsync(fields))["choices"]!.AsArray().Select(choice => (string)choice!["text"]!)];
}

[CollectionDefinition(Name)]
public sealed class DemoCollection : ICollectionFixture<DemoServer>
{
    public const string Name = "demo";
}
