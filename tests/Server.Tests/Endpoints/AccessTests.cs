using System.Net;
using System.Net.Http.Headers;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

public sealed class AccessTests
{
    private static Task<HttpResponseMessage> GetAsync(ScriptedServer server, string path, string? key = null, string? host = null, string? origin = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
        request.Headers.Host = host;
        if (origin is not null)
        {
            request.Headers.Add("Origin", origin);
        }

        return server.Client.SendAsync(request);
    }

    [Fact]
    public async Task A_server_with_keys_wants_one_of_them()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["first", "second"] });
        await (await GetAsync(server, "/v1/models")).ErrorAsync(401, code: "invalid_api_key");
        await (await GetAsync(server, "/v1/models", "firs")).ErrorAsync(401, code: "invalid_api_key");
        await (await GetAsync(server, "/metrics")).ErrorAsync(401);
        await (await GetAsync(server, "/nowhere")).ErrorAsync(401);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(server, "/v1/models", "first")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(server, "/v1/models", "second")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(server, "/health")).StatusCode);
    }

    [Theory]
    [InlineData("localhost", true)]
    [InlineData("127.0.0.1:1234", true)]
    [InlineData("[::1]:80", true)]
    [InlineData("app.localhost:3000", true)]
    [InlineData("evil.example", false)]
    [InlineData("localhost.evil.example", false)]
    [InlineData("127.0.0.1.evil.example", false)]
    [InlineData("10.0.0.1", false)]
    public async Task On_loopback_only_names_of_this_machine_are_answered(string host, bool answered)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        HttpResponseMessage response = await GetAsync(server, "/v1/models", host: host);
        if (answered)
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }
        else
        {
            Assert.Contains(host, await response.ErrorAsync(403, code: "host_not_allowed"));
        }
    }

    [Theory]
    [InlineData("http://localhost:3000", true)]
    [InlineData("http://127.0.0.1", true)]
    [InlineData("https://evil.example", false)]
    [InlineData("null", false)]
    public async Task On_loopback_pages_from_elsewhere_are_refused(string origin, bool answered)
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        HttpResponseMessage response = await GetAsync(server, "/v1/models", origin: origin);
        if (answered)
        {
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }
        else
        {
            await response.ErrorAsync(403, code: "origin_not_allowed");
        }
    }

    [Fact]
    public async Task Further_names_can_be_allowed()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { AllowedHosts = ["box.example"] });
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(server, "/v1/models", host: "box.example:8080", origin: "https://box.example")).StatusCode);
        await (await GetAsync(server, "/v1/models", host: "other.example")).ErrorAsync(403);
        await using ScriptedServer open = await ScriptedServer.StartAsync(new ServerOptions { AllowedHosts = ["*"] });
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(open, "/v1/models", host: "other.example")).StatusCode);
    }
}
