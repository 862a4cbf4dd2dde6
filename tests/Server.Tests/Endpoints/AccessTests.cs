using System.Net;
using System.Net.Http.Headers;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

public sealed class AccessTests
{
    private static Task<HttpResponseMessage> GetAsync(ScriptedServer server, string path, string? key = null, string? host = null,
        string? origin = null)
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
        Assert.Equal(HttpStatusCode.OK,
            (await GetAsync(server, "/v1/models", host: "box.example:8080", origin: "https://box.example")).StatusCode);
        await (await GetAsync(server, "/v1/models", host: "other.example")).ErrorAsync(403);
        await using ScriptedServer open = await ScriptedServer.StartAsync(new ServerOptions { AllowedHosts = ["*"] });
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(open, "/v1/models", host: "other.example")).StatusCode);
    }

    [Fact]
    public async Task A_name_may_be_allowed_on_one_port_or_with_all_names_under_it()
    {
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(new ServerOptions { AllowedHosts = ["server:8080", "*.box.example", "10.0.0.7"] });
        foreach (string host in (string[])["server:8080", "a.box.example", "b.a.box.example:99", "10.0.0.7:8080", "localhost"])
        {
            Assert.Equal(HttpStatusCode.OK, (await GetAsync(server, "/metrics", host: host)).StatusCode);
        }

        foreach (string host in (string[])["server", "server:8081", "box.example", "abox.example", "10.0.0.8:8080"])
        {
            await (await GetAsync(server, "/metrics", host: host)).ErrorAsync(403, code: "host_not_allowed");
        }
    }

    [Fact]
    public async Task A_probe_without_a_Host_is_no_browser()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        Assert.StartsWith("HTTP/1.1 200", await RawConnection.ExchangeAsync(server.App.Address, "GET /health HTTP/1.0\r\n\r\n"));
    }

    [Fact]
    public async Task Keys_are_taken_as_Anthropics_clients_send_them_too()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["first"] });
        foreach ((string key, int status) in ((string, int)[])[("first", 200), ("firs", 401), ("Bearer first", 401)])
        {
            var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
            request.Headers.Add("x-api-key", key);
            Assert.Equal(status, (int)(await server.Client.SendAsync(request)).StatusCode);
        }
    }

    [Fact]
    public async Task Metrics_can_be_opened_without_opening_the_rest()
    {
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["first"], OpenPaths = ["/metrics"] });
        Assert.Equal(HttpStatusCode.OK, (await GetAsync(server, "/metrics")).StatusCode);
        await (await GetAsync(server, "/openapi/v1.json")).ErrorAsync(401);
        await (await GetAsync(server, "/")).ErrorAsync(401);
        await (await GetAsync(server, "/page/page.css")).ErrorAsync(401);
        await (await GetAsync(server, "/metrics/")).ErrorAsync(401);
        await (await GetAsync(server, "/v1/models")).ErrorAsync(401);
    }

    [Fact]
    public async Task Nothing_is_said_to_other_origins_unless_asked()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        HttpResponseMessage response = await GetAsync(server, "/v1/models", origin: "http://localhost:3000");
        Assert.DoesNotContain(response.Headers, header => header.Key.StartsWith("Access-Control", StringComparison.OrdinalIgnoreCase));
        // It says what the path answers to, and nothing that would let a page in.
        HttpResponseMessage preflight = await PreflightAsync(server, "http://localhost:3000");
        Assert.Equal(HttpStatusCode.NoContent, preflight.StatusCode);
        Assert.DoesNotContain(preflight.Headers, header => header.Key.StartsWith("Access-Control", StringComparison.OrdinalIgnoreCase));
        await (await PreflightAsync(server, "https://evil.example")).ErrorAsync(403);
    }

    [Fact]
    public async Task A_named_origin_gets_its_preflight_answered_and_may_read_answers_and_errors()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(
            new ServerOptions { ApiKeys = ["first"], CorsOrigins = ["https://app.example", "http://localhost:3000/"] });
        foreach (string origin in (string[])["https://app.example", "http://localhost:3000"])
        {
            HttpResponseMessage preflight = await PreflightAsync(server, origin);
            Assert.Equal(HttpStatusCode.NoContent, preflight.StatusCode);
            Assert.Equal(origin, preflight.Headers.GetValues("Access-Control-Allow-Origin").Single());
            Assert.Contains("POST", preflight.Headers.GetValues("Access-Control-Allow-Methods").Single());
            Assert.Equal("authorization, content-type, x-stainless-os", preflight.Headers.GetValues("Access-Control-Allow-Headers")
                .Single());
            Assert.Contains("Origin", preflight.Headers.Vary);

            HttpResponseMessage answer = await GetAsync(server, "/v1/models", "first", origin: origin);
            Assert.Equal(origin, answer.Headers.GetValues("Access-Control-Allow-Origin").Single());
            Assert.Contains("X-Request-Id", answer.Headers.GetValues("Access-Control-Expose-Headers").Single());

            HttpResponseMessage refused = await GetAsync(server, "/v1/models", "wrong", origin: origin);
            await refused.ErrorAsync(401);
            Assert.Equal(origin, refused.Headers.GetValues("Access-Control-Allow-Origin").Single());
        }

        await (await PreflightAsync(server, "https://other.example")).ErrorAsync(403, code: "origin_not_allowed");
        Assert.Contains("Origin", (await GetAsync(server, "/health")).Headers.Vary);
    }

    [Fact]
    public async Task With_a_star_every_page_may_ask_though_not_without_a_key()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["first"], CorsOrigins = ["*"] });
        Assert.Equal("*", (await PreflightAsync(server, "https://any.example")).Headers.GetValues("Access-Control-Allow-Origin").Single());
        await (await GetAsync(server, "/v1/models", origin: "https://any.example")).ErrorAsync(401);
        await (await GetAsync(server, "/v1/models", "first", host: "evil.example", origin: "https://any.example"))
            .ErrorAsync(403, code: "host_not_allowed");
    }

    private static Task<HttpResponseMessage> PreflightAsync(ScriptedServer server, string origin)
    {
        var request = new HttpRequestMessage(HttpMethod.Options, "/v1/chat/completions");
        request.Headers.Add("Origin", origin);
        request.Headers.Add("Access-Control-Request-Method", "POST");
        request.Headers.Add("Access-Control-Request-Headers", "authorization, content-type, x-stainless-os");
        return server.Client.SendAsync(request);
    }
}
