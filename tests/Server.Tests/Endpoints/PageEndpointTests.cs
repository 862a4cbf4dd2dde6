using System.Net;
using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary>How the page's files are sent. What they do is tested in a browser.</summary>
public sealed partial class PageEndpointTests : IAsyncLifetime
{
    private ScriptedServer _server = null!;

    public async Task InitializeAsync() => _server = await ScriptedServer.StartAsync();

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task The_page_and_all_that_it_names_are_there_with_their_types()
    {
        string page = await _server.Client.GetStringAsync("/");
        string[] paths = [.. Reference().Matches(page).Select(match => match.Groups[1].Value).Distinct()];
        Assert.Contains("page/app.js", paths);
        foreach (string path in paths)
        {
            using HttpResponseMessage file = await _server.Client.GetAsync("/" + path);
            Assert.Equal(HttpStatusCode.OK, file.StatusCode);
            string expected = Path.GetExtension(path) switch { ".js" => "text/javascript", ".css" => "text/css", _ => "image/svg+xml" };
            Assert.Equal((expected, "utf-8"), (file.Content.Headers.ContentType!.MediaType, file.Content.Headers.ContentType.CharSet));
            string text = await file.Content.ReadAsStringAsync();
            Assert.NotEmpty(text);
            foreach (Match import in Import().Matches(text))
            {
                Assert.Equal(HttpStatusCode.OK, (await _server.Client.GetAsync($"/page/{import.Groups[1].Value}")).StatusCode);
            }
        }
    }

    [Fact]
    public async Task Nothing_is_inline_and_the_policy_allows_this_server_alone()
    {
        using HttpResponseMessage page = await _server.Client.GetAsync("/");
        string policy = page.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'none'; script-src 'self';", policy);
        Assert.Contains("frame-ancestors 'none'", policy);
        Assert.DoesNotContain("unsafe", policy);
        Assert.Equal("nosniff", page.Headers.GetValues("X-Content-Type-Options").Single());
        string text = await page.Content.ReadAsStringAsync();
        Assert.DoesNotMatch("<script(?![^>]*src=)|<style|style=|\\son[a-z]+=|https?:", text);
    }

    [Fact]
    public async Task A_file_that_a_cache_holds_is_not_sent_again()
    {
        foreach (string path in (string[])["/", "/page/app.js"])
        {
            using HttpResponseMessage first = await _server.Client.GetAsync(path);
            EntityTagHeaderValue tag = first.Headers.ETag!;
            Assert.Equal("no-cache", first.Headers.CacheControl!.ToString());
            using var again = new HttpRequestMessage(HttpMethod.Get, path);
            again.Headers.IfNoneMatch.Add(tag);
            using HttpResponseMessage held = await _server.Client.SendAsync(again);
            Assert.Equal(HttpStatusCode.NotModified, held.StatusCode);
            Assert.Equal(tag, held.Headers.ETag);
            using var other = new HttpRequestMessage(HttpMethod.Get, path);
            other.Headers.IfNoneMatch.Add(new EntityTagHeaderValue("\"other\""));
            Assert.Equal(HttpStatusCode.OK, (await _server.Client.SendAsync(other)).StatusCode);
        }
    }

    [Fact]
    public async Task HEAD_tells_the_length_without_the_body_and_other_methods_are_refused()
    {
        using HttpResponseMessage head = await _server.Client.SendAsync(new HttpRequestMessage(HttpMethod.Head, "/"));
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        Assert.Equal((await _server.Client.GetByteArrayAsync("/")).Length, head.Content.Headers.ContentLength);
        Assert.Empty(await head.Content.ReadAsByteArrayAsync());
        await (await _server.PostAsync("/", "{}")).ErrorAsync(405);
    }

    [Theory]
    [InlineData("/page/none.js")]
    [InlineData("/page/..%2Findex.html")]
    [InlineData("/page/%2e%2e/appsettings.json")]
    [InlineData("/page/")]
    [InlineData("/index.html")]
    [InlineData("/page/sub/app.js")]
    public async Task A_path_is_a_name_in_a_list_and_nothing_else_is_found(string path) =>
        await (await _server.Client.GetAsync(path)).ErrorAsync(404);

    [Fact]
    public async Task The_page_needs_no_key_and_nothing_else_is_opened_by_it()
    {
        await using ScriptedServer guarded = await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["secret"] });
        Assert.Equal(HttpStatusCode.OK, (await guarded.Client.GetAsync("/")).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await guarded.Client.GetAsync("/page/app.js")).StatusCode);
        await (await guarded.Client.GetAsync("/page/none.js")).ErrorAsync(401);
        await (await guarded.Client.GetAsync("/metrics")).ErrorAsync(401);
        await (await guarded.Client.GetAsync("/v1/models")).ErrorAsync(401);
    }

    [GeneratedRegex("(?:src|href)=\"(page/[^\"]+)\"")]
    private static partial Regex Reference();

    [GeneratedRegex("from \"\\./([^\"]+)\"")]
    private static partial Regex Import();
}
