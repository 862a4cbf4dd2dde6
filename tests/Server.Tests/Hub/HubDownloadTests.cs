using System.Text;
using Understory.Server.Hub;

namespace Understory.Server.Tests.Hub;

/// <summary>Fetching against a hub that cuts, lies, redirects and refuses.</summary>
public sealed class HubDownloadTests : IAsyncLifetime
{
    private static readonly HubReference Tiny = new(FakeHub.Repository, HubReference.DefaultRevision, null);
    private static readonly byte[] Weights = Bytes(3_000_000, 1);

    private readonly string _folder = Directory.CreateTempSubdirectory("understory-hub").FullName;
    private FakeHub _hub = null!;

    public async Task InitializeAsync()
    {
        _hub = await FakeHub.StartAsync();
        _hub.Add("config.json", "{\"model_type\": \"gpt2\"}"u8.ToArray());
        _hub.Add("tokenizer.json", Bytes(200_000, 2));
        _hub.Add("README.md", "not needed"u8.ToArray());
        _hub.Add("pytorch_model.bin", Bytes(1000, 3), large: true);
        _hub.Add("onnx/model.safetensors", Bytes(1000, 4), large: true);
        _hub.Add("model.safetensors", Weights, large: true);
    }

    public async Task DisposeAsync()
    {
        await _hub.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private static byte[] Bytes(int count, int seed)
    {
        byte[] bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private async Task<string> PullAsync(HubReference? reference = null, string? token = null, Action<DownloadProgress>? progress = null,
        CancellationToken stop = default)
    {
        var settings = new HubSettings(_hub.Address, token, _folder, Offline: false);
        using var client = new HubClient(settings, TimeSpan.FromMilliseconds(1));
        var download = new HubDownload(client, new HubCache(_folder));
        HubListing plan = await download.PlanAsync(reference ?? Tiny, draft: false, stop);
        return await download.FetchAsync(reference ?? Tiny, plan, progress ?? (_ => { }), stop);
    }

    private async Task<string> RefusedAsync(HubReference? reference = null, string? token = null) =>
        (await Assert.ThrowsAsync<HubException>(() => PullAsync(reference, token))).Message;

    private string[] Asked(string part) => [.. _hub.Requests.Where(request => request.Contains(part, StringComparison.Ordinal))];

    [Theory]
    [InlineData("/c/hub/models--someone--tiny/snapshots/0123abcd", "someone/tiny")]
    [InlineData("/c/hub/models--someone--a--b/snapshots/0123abcd/sub/x.gguf", "someone/a--b")]
    [InlineData("/c/hub/models--someone--tiny/snapshots", null)]
    [InlineData("/c/models/snapshots/tiny", null)]
    [InlineData("/c/models/tiny", null)]
    public void A_path_in_the_cache_tells_its_repository(string path, string? repository) =>
        Assert.Equal(repository, HubCache.RepositoryOf(path));

    [Fact]
    public async Task Only_the_files_that_are_needed_are_fetched_and_they_are_what_the_hub_holds()
    {
        string snapshot = await PullAsync();
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.EnumerateFiles(snapshot).Select(Path.GetFileName)
            .Order(StringComparer.Ordinal));
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors")));
        Assert.Equal(_hub.Commit, File.ReadAllText(Path.Combine(_folder, "models--someone--tiny", "refs", "main")));
        Assert.Equal(snapshot, new HubCache(_folder).Find(Tiny));
    }

    [Fact]
    public async Task A_second_pull_fetches_nothing()
    {
        await PullAsync();
        _hub.Requests.Clear();
        var done = new List<DownloadProgress>();
        await PullAsync(progress: done.Add);
        Assert.Empty(Asked("resolve"));
        Assert.All(done, step => Assert.Equal(step.File.Size, step.Done));
        Assert.Equal(3, done.Count);
    }

    [Fact]
    public async Task A_new_commit_fetches_only_what_changed()
    {
        string before = await PullAsync();
        _hub.Requests.Clear();
        _hub.Commit = new string('b', 40);
        _hub.Add("config.json", "{\"model_type\": \"llama\"}"u8.ToArray());
        string after = await PullAsync();
        Assert.Single(Asked("resolve"));
        Assert.NotEqual(File.ReadAllText(Path.Combine(before, "config.json")), File.ReadAllText(Path.Combine(after, "config.json")));
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(after, "model.safetensors")));
        Assert.Equal(after, new HubCache(_folder).Find(Tiny));
    }

    [Fact]
    public async Task A_cut_goes_on_where_it_was_cut()
    {
        var read = new TaskCompletionSource();
        _hub.Cut("model.safetensors", 1_000_000, read.Task);
        string snapshot = await PullAsync(progress: step =>
        {
            if (step.File.Path == "model.safetensors" && step.Done >= 1_000_000)
            {
                read.TrySetResult();
            }
        });
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors")));
        Assert.Equal(2, Asked("store").Length);
        Assert.Matches("bytes=[1-9][0-9]{0,6}-$", Asked("store")[1]);
    }

    [Fact]
    public async Task A_pull_that_was_stopped_goes_on_where_it_stopped()
    {
        using var stop = new CancellationTokenSource();
        var stopped = new TaskCompletionSource();
        _hub.Cut("model.safetensors", 1_500_000, stopped.Task);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => PullAsync(
            progress: step =>
            {
                if (step.File.Path == "model.safetensors" && step.Done >= 1_000_000)
                {
                    stop.Cancel();
                    stopped.TrySetResult();
                }
            },
            stop: stop.Token));
        Assert.Null(new HubCache(_folder).Find(Tiny));
        _hub.Requests.Clear();
        string snapshot = await PullAsync();
        Assert.Contains("bytes=", Assert.Single(Asked("store")));
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors")));
    }

    [Fact]
    public async Task A_spoilt_rest_of_an_earlier_run_is_fetched_anew()
    {
        string blobs = Path.Combine(_folder, "models--someone--tiny", "blobs");
        Directory.CreateDirectory(blobs);
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Weights));
        File.WriteAllBytes(Path.Combine(blobs, hash + ".incomplete"), Bytes(500_000, 9));
        string snapshot = await PullAsync();
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors")));
        Assert.Equal(["GET store/model.safetensors bytes=500000-", "GET store/model.safetensors"], Asked("store"));
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("tokenizer.json")]
    public async Task A_wrong_checksum_is_an_error_and_leaves_nothing_behind(string file)
    {
        _hub.Spoil(file);
        Assert.Contains("checksum", await RefusedAsync());
        Assert.Null(new HubCache(_folder).Find(Tiny));
        await PullAsync();
        Assert.NotNull(new HubCache(_folder).Find(Tiny));
    }

    [Fact]
    public async Task Busy_and_failing_answers_are_asked_again()
    {
        _hub.Answer("tokenizer.json", 429, retryAfter: 0);
        _hub.Answer("tokenizer.json", 503);
        _hub.Answer("model.safetensors", 500);
        await PullAsync();
        Assert.Equal(3, Asked("resolve/" + _hub.Commit + "/tokenizer.json").Length);
    }

    [Fact]
    public async Task A_hub_that_stays_busy_is_given_up_on()
    {
        for (int i = 0; i < 10; i++)
        {
            _hub.Answer("tokenizer.json", 429);
        }

        Assert.Contains("429", await RefusedAsync());
    }

    [Fact]
    public async Task The_token_is_sent_to_the_hub_and_to_nobody_else()
    {
        _hub.Token = "secret";
        Assert.Contains("HF_TOKEN", await RefusedAsync());
        Assert.Contains("may not read", await RefusedAsync(token: "wrong"));
        _hub.Requests.Clear();
        await PullAsync(token: "secret");
        Assert.All(Asked("GET /"), request => Assert.Contains("+token", request));
        Assert.DoesNotContain("+token", Assert.Single(Asked("store")));
    }

    [Fact]
    public async Task Long_listings_come_in_pages()
    {
        _hub.Page = 2;
        await PullAsync();
        Assert.Equal(3, Asked("/tree/").Length);
    }

    [Fact]
    public async Task A_revision_may_be_a_tag_or_a_commit()
    {
        await PullAsync(Tiny with { Revision = "v1" });
        await PullAsync(Tiny with { Revision = _hub.Commit });
        var cache = new HubCache(_folder);
        Assert.NotNull(cache.Find(Tiny with { Revision = "v1" }));
        Assert.NotNull(cache.Find(Tiny with { Revision = _hub.Commit }));
        Assert.Null(cache.Find(Tiny));
        Assert.Contains("no revision 'v9'", await RefusedAsync(Tiny with { Revision = "v9" }));
    }

    [Fact]
    public async Task What_does_not_exist_is_named() =>
        Assert.Contains("nobody/nothing does not exist", await RefusedAsync(new HubReference("nobody/nothing", "main", null)));

    [Fact]
    public async Task A_file_name_that_leads_out_of_the_folder_is_refused()
    {
        _hub.Add("../../evil.safetensors", [1], large: true);
        Assert.Contains("../../evil", await RefusedAsync());
    }

    [Fact]
    public async Task Two_pulls_at_once_do_not_disturb_each_other()
    {
        string[] snapshots = await Task.WhenAll(PullAsync(), PullAsync(), PullAsync());
        Assert.All(snapshots, snapshot => Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot, "model.safetensors"))));
        Assert.Single(Asked("store"));
    }

    [Fact]
    public async Task A_repository_of_GGUF_files_gives_the_usual_quantisation_or_the_one_that_is_named()
    {
        await using FakeHub hub = await FakeHub.StartAsync();
        (_hub, FakeHub old) = (hub, _hub);
        hub.Add("tiny-Q4_K_M.gguf", Encoding.ASCII.GetBytes("four"), large: true);
        hub.Add("tiny-Q8_0.gguf", Encoding.ASCII.GetBytes("eight"), large: true);
        hub.Add("mmproj-tiny-Q4_K_M.gguf", Encoding.ASCII.GetBytes("eyes"), large: true);
        hub.Add("big/tiny-F16-00001-of-00002.gguf", Encoding.ASCII.GetBytes("one"), large: true);
        hub.Add("big/tiny-F16-00002-of-00002.gguf", Encoding.ASCII.GetBytes("two"), large: true);
        await PullAsync();
        var cache = new HubCache(_folder);
        Assert.EndsWith("/tiny-Q4_K_M.gguf", cache.Find(Tiny));
        await PullAsync(Tiny with { File = "tiny-Q8_0.gguf" });
        Assert.EndsWith("tiny-Q8_0.gguf", cache.Find(Tiny with { File = "tiny-Q8_0.gguf" }));
        Assert.EndsWith("tiny-Q8_0.gguf", cache.Find(Tiny with { File = "q8_0" }));
        Assert.EndsWith("/tiny-Q4_K_M.gguf", cache.Find(Tiny));

        // Both parts come, whichever names the model.
        Assert.Null(cache.Find(Tiny with { File = "F16" }));
        string snapshot = await PullAsync(Tiny with { File = "F16" });
        Assert.EndsWith("big/tiny-F16-00001-of-00002.gguf", cache.Find(Tiny with { File = "F16" }));
        Assert.True(File.Exists(Path.Combine(snapshot, "big", "tiny-F16-00002-of-00002.gguf")));

        Assert.Contains("no file 'tiny-Q2.gguf'", await RefusedAsync(Tiny with { File = "tiny-Q2.gguf" }));
        Assert.Contains("no model in 'Q2_K'; it has F16, Q4_K_M, Q8_0", await RefusedAsync(Tiny with { File = "Q2_K" }));
        Assert.Contains("no model in GGUF", await RefusedAsync(Tiny with { File = "mmproj-tiny-Q4_K_M.gguf" }));
        _hub = old;
    }
}
