using System.Net;
using System.Net.Http.Headers;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

public sealed class ApiKeysTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;
    private readonly string _file;

    public ApiKeysTests() => _file = Path.Combine(_folder, "keys");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private ApiKeys Open(string content)
    {
        File.WriteAllText(_file, content);
        return new ApiKeys(new ServerOptions { ApiKeys = ["given"], ApiKeyFile = _file }, lookEvery: Timeout.InfiniteTimeSpan);
    }

    private static void LookTwice(ApiKeys keys)
    {
        keys.Look();
        keys.Look();
    }

    [Fact]
    public void Keys_come_from_options_and_from_a_file_one_a_line_with_comments()
    {
        using ApiKeys keys = Open("\uFEFF# team\nfirst\r\n\n  second \n#third\n");
        Assert.All(["given", "first", "second"], key => Assert.True(keys.Contains(key)));
        Assert.All(["", "#third", "third", "# team", "team", "First", "first "], key => Assert.False(keys.Contains(key)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n# nothing but this\n")]
    [InlineData("a\0b")]
    public void A_file_without_usable_keys_is_refused_at_start(string content) =>
        Assert.Contains(_file, Assert.Throws<StartupException>(() => Open(content)).Message);

    [Fact]
    public void A_missing_file_is_refused_at_start() =>
        Assert.Throws<StartupException>(() => new ApiKeys(new ServerOptions { ApiKeyFile = _file }));

    [Fact]
    public void A_changed_file_is_taken_over_and_old_keys_go()
    {
        using ApiKeys keys = Open("first");
        File.WriteAllText(_file, "second");
        LookTwice(keys);
        Assert.True(keys.Contains("second") && keys.Contains("given"));
        Assert.False(keys.Contains("first"));
    }

    [Fact]
    public void A_file_renamed_over_the_old_one_is_taken_over_even_with_its_time_and_length()
    {
        using ApiKeys keys = Open("first");
        string fresh = Path.Combine(_folder, "fresh");
        File.WriteAllText(fresh, "other");
        File.SetLastWriteTimeUtc(fresh, File.GetLastWriteTimeUtc(_file));
        File.Move(fresh, _file, overwrite: true);
        LookTwice(keys);
        Assert.True(keys.Contains("other"));
        Assert.False(keys.Contains("first"));
    }

    [Fact]
    public void A_broken_file_keeps_the_keys_until_it_is_mended()
    {
        using ApiKeys keys = Open("first");
        foreach (byte[] broken in (byte[][])[[], "# none"u8.ToArray(), [0xFF, 0xFE, 0x41], new byte[2 << 20]])
        {
            File.WriteAllBytes(_file, broken);
            LookTwice(keys);
            Assert.True(keys.Contains("first"));
        }

        File.Delete(_file);
        LookTwice(keys);
        Assert.True(keys.Contains("first"));
        File.WriteAllText(_file, "second");
        LookTwice(keys);
        Assert.True(keys.Contains("second"));
        Assert.False(keys.Contains("first"));
    }

    [Fact]
    public void A_file_that_is_still_being_written_is_not_believed()
    {
        using ApiKeys keys = Open("first\nsecond");
        File.WriteAllText(_file, "first\nsec");
        keys.Look();
        File.WriteAllText(_file, "first\nsecond\nthird");
        keys.Look();
        Assert.True(keys.Contains("second"));
        Assert.False(keys.Contains("sec") || keys.Contains("third"));
        keys.Look();
        Assert.True(keys.Contains("third"));
    }

    [Fact]
    public async Task A_running_server_notices_by_itself()
    {
        File.WriteAllText(_file, "first");
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { ApiKeyFile = _file });
        HttpStatusCode With(string key)
        {
            var request = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
            return server.Client.Send(request).StatusCode;
        }

        Assert.Equal(HttpStatusCode.OK, With("first"));
        File.WriteAllText(_file, "second");
        await ScriptedServer.UntilAsync(() => With("second") == HttpStatusCode.OK);
        Assert.Equal(HttpStatusCode.Unauthorized, With("first"));
    }
}
