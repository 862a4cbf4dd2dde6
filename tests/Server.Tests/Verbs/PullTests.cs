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
        foreach (string path in Directory.EnumerateFiles(Standin.Target))
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
        Assert.Contains("gpt2, 2.76 million parameters; serving takes ", output);
        Assert.Contains("100 % of ", output);
        Assert.DoesNotContain('\e', output + errors);

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

    [ProcessFact]
    public async Task What_could_not_be_served_is_refused_before_its_weights_are_fetched()
    {
        _hub.Add("config.json", "{\"model_type\": \"mamba\"}"u8.ToArray());
        var (code, _, errors) = await RunAsync("pull", FakeHub.Repository);
        Assert.Equal(1, code);
        string told = Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.Contains("cannot be served, so nothing was fetched: config.json: Models of type \"mamba\"", told);
        Assert.All(_hub.Requests.Where(request => request.Contains("store/", StringComparison.Ordinal)), request =>
            Assert.Contains("bytes=0-", request));
        Assert.False(Directory.Exists(Path.Combine(_home, "hub", "models--someone--tiny", "blobs")));
    }

    [ProcessFact]
    public async Task A_draft_of_another_vocabulary_is_fetched_too_and_said_to_have_one()
    {
        _hub.Add("draft.gguf", File.ReadAllBytes(Path.Combine(Tools.Root, "tests/Fixtures/golden/gpt2/model.gguf")), large: true);
        var (code, output, errors) = await RunAsync("pull", FakeHub.Repository, "--draft", $"{FakeHub.Repository}:draft.gguf");
        Assert.True(code == 0, errors);
        Assert.Contains("someone/tiny:draft.gguf has a vocabulary of its own of 263 tokens; ", output);
        Assert.Contains("in the target's 4,096", output);
    }

    [ProcessFact]
    public async Task A_draft_head_of_another_model_is_refused_before_anything_is_fetched()
    {
        _hub.Add("config.json", """
            {"architectures": ["LlamaForCausalLMEagle3"], "model_type": "llama", "hidden_size": 4096, "vocab_size": 4096}
            """u8.ToArray(), repository: "someone/head");
        _hub.Add("model.safetensors", new byte[64], large: true, "someone/head");
        var (code, _, errors) = await RunAsync("pull", FakeHub.Repository, "--draft", "someone/head");
        Assert.Equal(1, code);
        string told = Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.Contains("someone/head cannot be served, so nothing was fetched: its hidden size is 4096, the model's is ", told);
        Assert.False(Directory.Exists(Path.Combine(_home, "hub", "models--someone--tiny", "blobs")));
    }

    [SharedDataFact("families/qwen3/eagle3")]
    public async Task A_draft_head_is_fetched_without_a_tokenizer_of_its_own_and_drafts()
    {
        foreach (string file in Directory.EnumerateFiles(SharedData.PathOf("families/qwen3")).Where(file => !file.EndsWith(".gguf")))
        {
            _hub.Add(Path.GetFileName(file), File.ReadAllBytes(file));
        }

        foreach (string file in Directory.EnumerateFiles(SharedData.PathOf("families/qwen3/eagle3")))
        {
            _hub.Add(Path.GetFileName(file), File.ReadAllBytes(file), repository: "someone/head");
        }

        var (code, output, errors) = await RunAsync("pull", FakeHub.Repository, "--draft", "someone/head");
        Assert.True(code == 0, errors);
        Assert.Contains("a draft head (EAGLE-3), ", output);
        Assert.Contains("--model someone/tiny --draft someone/head", output);
        (code, output, errors) = await RunAsync("info", "--model", FakeHub.Repository, "--draft", "someone/head");
        Assert.True(code == 0, errors);
        Assert.Contains("EAGLE-3", output + errors);
    }

    [ProcessFact]
    public async Task A_snapshot_without_the_folder_around_it_says_what_to_mount()
    {
        (int code, _, string errors) = await RunAsync("pull", FakeHub.Repository);
        Assert.True(code == 0, errors);
        string snapshot = Assert.Single(Directory.GetDirectories(Path.Combine(_home, "hub", "models--someone--tiny", "snapshots")));
        string alone = Path.Combine(_home, "alone");
        Directory.CreateDirectory(alone);
        foreach (string file in Directory.EnumerateFiles(snapshot))
        {
            File.CreateSymbolicLink(Path.Combine(alone, Path.GetFileName(file)), new FileInfo(file).LinkTarget!);
        }

        (code, _, errors) = await RunAsync("info", "--model", alone);
        Assert.Equal(1, code);
        string told = Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.Contains("models--OWNER--NAME", told);
        Assert.StartsWith("understory: --model: ", told);
    }
}
