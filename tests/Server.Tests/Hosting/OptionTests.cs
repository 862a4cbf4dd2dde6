using Understory.Decoding;
using Understory.Models.Kernels;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

public sealed class OptionTests : IDisposable
{
    private readonly string _settings = Path.GetTempFileName();

    private OptionSource Source(string flags = "", string environment = "", string settings = "{}")
    {
        File.WriteAllText(_settings, settings);
        Dictionary<string, List<string>> Parse(string text) => text.Split(';', StringSplitOptions.RemoveEmptyEntries)
            .GroupBy(pair => pair.Split('=')[0], pair => pair.Split('=')[1])
            .ToDictionary(group => group.Key, group => group.ToList());
        var said = Parse(flags);
        var variables = Parse(environment);
        return new OptionSource(said.GetValueOrDefault, name => variables.GetValueOrDefault(name)?[0], _settings);
    }

    public void Dispose() => File.Delete(_settings);

    [Fact]
    public void Flags_win_over_the_environment_and_that_over_settings()
    {
        const string Settings = """{"Understory": {"port": 3, "max-queue": 3, "drain-seconds": 3}}""";
        ServerOptions options = ServerOptions.From(Source("port=1", "UNDERSTORY_PORT=2;UNDERSTORY_MAX_QUEUE=2", Settings));
        Assert.Equal(1, options.Port);
        Assert.Equal(2, options.MaxQueue);
        Assert.Equal(TimeSpan.FromSeconds(3), options.Drain);
    }

    [Fact]
    public void Silence_means_the_documented_defaults()
    {
        ServerOptions options = ServerOptions.From(Source());
        Assert.Equal(("127.0.0.1", 8080, 64, 512), (options.Host, options.Port, options.MaxQueue, options.PrefixCacheMegabytes));
        Assert.Equal(SpeculationMode.Auto, options.Speculation);
        Assert.Null(options.RequestLimit);
        options.RequireSafeAddress();
    }

    [Theory]
    [InlineData("port=x", "--port", "x")]
    [InlineData("port=65536", "--port", "65536")]
    [InlineData("threads=0", "--threads", "0")]
    [InlineData("kv=q4_0", "--kv", "q4_0")]
    [InlineData("kv=f32", "--kv", "f32")]
    [InlineData("speculation=fast", "--speculation", "fast")]
    [InlineData("speculation=1", "--speculation", "1")]
    [InlineData("device=tpu", "--device", "tpu")]
    [InlineData("weights=q5_k", "--weights", "q5_k")]
    [InlineData("weights=8", "--weights", "8")]
    [InlineData("host=example.com", "--host", "example.com")]
    [InlineData("allow-anonymous=perhaps", "--allow-anonymous", "perhaps")]
    [InlineData("allowed-hosts=http://box", "--allowed-hosts", "http://box")]
    [InlineData("allowed-hosts=box:0", "--allowed-hosts", "box:0")]
    [InlineData("allowed-hosts=a*.example", "--allowed-hosts", "a*.example")]
    [InlineData("cors-origins=app.example", "--cors-origins", "app.example")]
    [InlineData("cors-origins=https://app.example/page", "--cors-origins", "https://app.example/page")]
    [InlineData("cors-origins=null", "--cors-origins", "null")]
    [InlineData("open-paths=/v1/models", "--open-paths", "/v1/models")]
    [InlineData("open-paths=none,/", "--open-paths", "none")]
    [InlineData("otlp-endpoint=collector:4317", "--otlp-endpoint", "collector:4317")]
    [InlineData("tool-format=xml", "--tool-format", "xml")]
    public void A_value_that_cannot_be_is_named_with_its_origin(string flags, string origin, string value)
    {
        var refusal = Assert.Throws<UsageException>(() => ServerOptions.From(Source(flags)));
        Assert.Contains(origin, refusal.Message);
        Assert.Contains($"'{value}'", refusal.Message);
    }

    [Theory]
    [InlineData("weights=q4_k", "Q4_K")]
    [InlineData("weights=Q8_0", "Q8_0")]
    [InlineData("weights=file", null)]
    [InlineData("", null)]
    public void Weights_are_named_like_formats_of_files(string flags, string? format) =>
        Assert.Equal(format, ServerOptions.From(Source(flags)).Weights?.Name);

    [Theory]
    [InlineData("bf16", CacheType.BF16)]
    [InlineData("f16", CacheType.F16)]
    [InlineData("Q8_0", CacheType.Q8)]
    public void Keys_and_values_are_kept_in_what_was_said(string said, CacheType type)
    {
        Assert.Equal(type, ServerOptions.From(Source($"kv={said}")).Kv);
        Assert.Equal(type, ServerOptions.From(Source(environment: $"UNDERSTORY_KV={said}")).Kv);
        Assert.Null(ServerOptions.From(Source()).Kv);
    }

    /// <summary>Of the table of options: flag and value, default, meaning, with what Markdown would take for its own escaped.</summary>
    [Fact]
    public void The_documented_options_are_those_that_there_are()
    {
        static string Plain(string text) => text.Replace("*", "\\*", StringComparison.Ordinal);
        string[] rows =
        [
            .. OptionCatalog.All.Select(option => $"| `{option.Flag}{(option.Value is null ? "" : " " + option.Value)}` | "
                + $"{Plain(option.Silence ?? "")} | {Plain(option.Help)} |"),
        ];
        string page = Path.Combine(Tools.Root, "docs", "options.md");
        Assert.Equal(rows, File.ReadLines(page).Where(line => line.StartsWith("| `--", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("hermes", "hermes")]
    [InlineData("QWEN-XML", "qwen-xml")]
    [InlineData("auto", null)]
    public void A_way_of_writing_calls_is_named(string said, string? name) =>
        Assert.Equal(name, ServerOptions.From(Source($"tool-format={said}")).ToolSyntax?.Name);

    [Fact]
    public void No_two_options_share_a_name() => Assert.Distinct(OptionCatalog.All.Select(option => option.Name));

    [Fact]
    public void An_error_says_what_a_value_must_be()
    {
        string Refusal(string flags) => Assert.Throws<UsageException>(() => ServerOptions.From(Source(flags))).Message;
        Assert.Equal("--port must be a whole number from 0 to 65535, not 'x'.", Refusal("port=x"));
        Assert.Equal("--context must be a whole number of at least 1, not '0'.", Refusal("context=0"));
        Assert.Equal("--kv must be bf16, f16 or q8_0, not 'f32'.", Refusal("kv=f32"));
        Assert.Equal("--weights must be file, q8_0 or q4_k, not 'q5_k'.", Refusal("weights=q5_k"));
        Assert.Equal("--embeddings must be on or off, not '1'.", Refusal("embeddings=1"));
        Assert.Contains("auto, harmony, ", Refusal("tool-format=none"));
    }

    [Fact]
    public void A_wrong_variable_is_named_as_the_variable() =>
        Assert.Contains("UNDERSTORY_PORT",
            Assert.Throws<UsageException>(() => ServerOptions.From(Source(environment: "UNDERSTORY_PORT=x"))).Message);

    [Fact]
    public void What_an_orchestrator_injects_for_a_service_of_that_name_is_passed_over() =>
        Assert.Equal(8080, ServerOptions.From(Source(environment: "UNDERSTORY_PORT=tcp://10.0.0.7:8080")).Port);

    [Theory]
    [InlineData("UNDERSTORY_MAXQUEUE", "UNDERSTORY_MAX_QUEUE")]
    [InlineData("UNDERSTORY_TREADS", "UNDERSTORY_THREADS")]
    [InlineData("understory_port", "UNDERSTORY_PORT")]
    [InlineData("UNDERSTORY_APIKEY", "UNDERSTORY_API_KEY")]
    [InlineData("UNDERSTORY_PORT", null)]
    [InlineData("UNDERSTORY_SERVICE_HOST", null)]
    [InlineData("UNDERSTORY_PORT_8080_TCP_ADDR", null)]
    [InlineData("UNDERSTORY_KERNELS", null)]
    [InlineData("PORT", null)]
    public void A_misspelt_variable_is_told_of_with_what_was_meant(string name, string? meant) =>
        Assert.Equal(meant, OptionVariables.Misspelt([name]).SingleOrDefault().Meant);

    [Theory]
    [InlineData("""{"Understory": {"max_queue": 3}}""", "max_queue")]
    [InlineData("{", "JSON")]
    [InlineData("""{"Understory": 1}""", "JSON")]
    public void Settings_that_mean_nothing_are_refused(string settings, string named) =>
        Assert.Contains(named, Assert.Throws<UsageException>(() => Source(settings: settings)).Message);

    [Fact]
    public void The_page_is_open_unless_the_open_paths_leave_it_out()
    {
        Assert.Equal(["/"], ServerOptions.From(Source()).OpenPaths);
        Assert.Equal(["/metrics"], ServerOptions.From(Source("open-paths=/metrics")).OpenPaths);
        Assert.Equal(["/metrics", "/"], ServerOptions.From(Source("open-paths=/metrics,/")).OpenPaths);
        Assert.Empty(ServerOptions.From(Source("open-paths=none")).OpenPaths);
    }

    [Fact]
    public void Lists_come_from_repeated_flags_commas_and_arrays()
    {
        Assert.Equal(["a", "b", "c"], ServerOptions.From(Source("alias=a,b;alias=c")).Aliases);
        Assert.Equal(["a", "b"], ServerOptions.From(Source(settings: """{"Understory": {"alias": ["a", "b"]}}""")).Aliases);
    }

    [Theory]
    [InlineData("host=0.0.0.0", false)]
    [InlineData("host=*", false)]
    [InlineData("host=0.0.0.0;api-key=k", true)]
    [InlineData("host=0.0.0.0;api-key-file=keys", true)]
    [InlineData("host=0.0.0.0;allow-anonymous=true", true)]
    [InlineData("host=::1", true)]
    [InlineData("host=localhost", true)]
    [InlineData("host=127.0.0.2", true)]
    public void Beyond_loopback_a_key_is_needed(string flags, bool safe)
    {
        Exception? refusal = Record.Exception(ServerOptions.From(Source(flags)).RequireSafeAddress);
        Assert.Equal(safe, refusal is null);
    }

    [Fact]
    public void An_error_blames_whoever_said_it()
    {
        Assert.StartsWith("UNDERSTORY_DEVICE must", Assert.Throws<UsageException>(() =>
            ServerOptions.From(Source(environment: "UNDERSTORY_DEVICE=tpu"))).Message);
        Assert.StartsWith("--device must", Assert.Throws<UsageException>(() => ServerOptions.From(Source("device=tpu"))).Message);
        Assert.Contains(": host must", Assert.Throws<UsageException>(() =>
            ServerOptions.From(Source(settings: """{"Understory": {"host": "nowhere"}}"""))).Message);
    }
}
