using Understory.Decoding.Planning;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Hosting;

public sealed class CostFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static CostCurves Costs(double one) => new(new CostCurve(new Dictionary<int, double> { [1] = one, [8] = 2 * one }, 0.5), null);

    private CostFile Open() => CostFile.OfUser(name => name == "XDG_CACHE_HOME" ? _folder : null);

    [Fact]
    public void What_is_kept_under_a_key_is_found_again_and_replaced()
    {
        Assert.Null(Open().Find("a"));
        Open().Keep("a", Costs(1));
        Open().Keep("b", Costs(2) with { Draft = Costs(3).Target });
        Open().Keep("a", Costs(4));
        Assert.Equal(4, Open().Find("a")!.Target.Seconds[1]);
        Assert.Equal(6, Open().Find("b")!.Draft!.Seconds[8]);
        Assert.Equal(0.5, Open().Find("b")!.Target.ContextSlope);
        Assert.Equal(["costs.json"], Directory.EnumerateFiles(Path.Combine(_folder, "understory")).Select(Path.GetFileName));
    }

    [Fact]
    public void Only_the_latest_are_kept()
    {
        for (int i = 0; i < 40; i++)
        {
            Open().Keep($"{i}", Costs(i + 1));
        }

        Assert.Null(Open().Find("7"));
        Assert.All(["8", "39"], key => Assert.NotNull(Open().Find(key)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[")]
    [InlineData("{}")]
    [InlineData("[null]")]
    [InlineData("""[{"Key": "a"}]""")]
    [InlineData("""[{"Key": "a", "Costs": {"Target": {"Seconds": {"1": -1}, "ContextSlope": 0}}}]""")]
    [InlineData("""[{"Key": "a", "Costs": {"Target": {"Seconds": {"x": 1}, "ContextSlope": 0}}}]""")]
    [InlineData("""[{"Key": "a", "Costs": {"Target": {"Seconds": {"1": 1}, "ContextSlope": 0}, "Draft": {"ContextSlope": 0}}}]""")]
    public void A_damaged_file_is_done_without_and_written_anew(string text)
    {
        Directory.CreateDirectory(Path.Combine(_folder, "understory"));
        File.WriteAllText(Path.Combine(_folder, "understory", "costs.json"), text);
        Assert.Null(Open().Find("a"));
        Open().Keep("a", Costs(1));
        Assert.NotNull(Open().Find("a"));
    }

    [ProcessFact]
    public async Task A_server_that_has_decoded_keeps_its_costs_when_it_ends_and_starts_with_them()
    {
        string file = Path.Combine(ServerProcess.Cache, "understory", "costs.json");
        for (int start = 0; start < 2; start++)
        {
            using ServerProcess server = await ServerProcess.StartAsync("--threads", "1", "--speculation", "off");
            HttpResponseMessage answer = await server.Client.PostAsync("/v1/completions", new StringContent(
                """{"prompt": "def f():", "max_tokens": 600, "ignore_eos": true}""", null, "application/json"));
            answer.EnsureSuccessStatusCode();
            server.Signal("TERM");
            Assert.Equal(0, await server.ExitAsync());
        }

        Assert.Contains("\"Seconds\": {", await File.ReadAllTextAsync(file));
        File.Delete(file);
    }

    [Fact]
    public void A_folder_that_cannot_be_made_is_no_reason_to_fail()
    {
        File.WriteAllText(Path.Combine(_folder, "understory"), "a file");
        Open().Keep("a", Costs(1));
        Assert.Null(Open().Find("a"));
    }
}
