using Understory.Server.Hosting;
using Understory.Server.Tests.Hub;

namespace Understory.Server.Tests.Verbs;

/// <summary><c>pull</c> as its user meets it, and <c>--model OWNER/NAME</c> afterwards.</summary>
public sealed class PullTests : IAsyncLifetime
{
    private readonly string _home = Directory.CreateTempSubdirectory("understory-home").FullName;
    private FakeHub _hub = null!;

    public async Task InitializeAsync()
    {
        _hub = await FakeHub.StartAsync();
        foreach (string path in Directory.EnumerateFiles(DemoBundle.Target))
        {
            string name = Path.GetFileName(path);
            _hub.Add(name, File.ReadAllBytes(path), large: name.EndsWith(".safetensors", StringComparison.Ordinal));
        }
    }

    public async Task DisposeAsync()
    {
        await _hub.DisposeAsync();
        Directory.Delete(_home, recursive: true);
    }

    private Task<(int Code, string Output, string Errors)> RunAsync(params string[] arguments) => ServerProcess.RunAsync(
        arguments, folder: _home,
        variables: [("HF_HOME", _home), ("HF_ENDPOINT", _hub.Address.ToString()), ("HF_TOKEN", ""), ("HF_HUB_CACHE", ""),
            ("HF_HUB_OFFLINE", "")]);

    [ProcessFact]
    public async Task A_pulled_model_is_served_under_its_name()
    {
        var (code, _, errors) = await RunAsync("complete", "--model", FakeHub.Repository, "x");
        Assert.Equal(1, code);
        Assert.Contains("understory pull someone/tiny", errors);

        (code, string output, errors) = await RunAsync("pull", FakeHub.Repository);
        Assert.True(code == 0, errors);
        Assert.Contains("--model someone/tiny", output);

        (code, output, errors) = await RunAsync("info", "--model", FakeHub.Repository, "--draft", "none");
        Assert.True(code == 0, errors);
        Assert.Matches(@"served as +someone/tiny\n", output.ReplaceLineEndings("\n"));
        Assert.Matches(@"(?i)target:? +someone/tiny, ", output);
    }

    [ProcessTheory]
    [InlineData(2, "not 'tiny'", "tiny")]
    [InlineData(1, "nobody/nothing does not exist", "nobody/nothing")]
    [InlineData(1, "no revision 'v9'", "someone/tiny@v9")]
    public async Task What_cannot_be_pulled_is_told_in_one_line(int expected, string part, string model)
    {
        var (code, _, errors) = await RunAsync("pull", model);
        Assert.Equal(expected, code);
        Assert.Contains(part, Assert.Single(errors.TrimEnd().Split('\n')));
    }
}
