using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Understory.Gpu.Tests;

/// <summary>The checks themselves, on an emulated device.</summary>
public sealed partial class EmulatedRunTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("emulated").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Every_check_holds_and_every_kernel_is_in_one_of_those_of_kernels()
    {
        Assert.Equal(0, Run("first", _folder, "--models", Repository.Fixture("standin")));
        JsonObject[] results = [.. File.ReadLines(Path.Combine(_folder, "results.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject())];
        Assert.Equal(Stage.First.Sum(stage => stage.Checks.Length), results.Length);
        IEnumerable<string> ran = results.Where(result => (int?)result["stage"] == 1)
            .SelectMany(result => result["found"]!["kernels"]!.AsArray()).Select(name => (string)name!);
        IEnumerable<string> all = Directory.GetFiles(Repository.PathOf("src", "Models", "Kernels", "Cuda", "Ptx"), "*.sm_90.ptx")
            .SelectMany(file => Entry().Matches(File.ReadAllText(file))).Select(match => match.Groups[1].Value);
        Assert.Equal(all.Order(StringComparer.Ordinal), ran.Distinct().Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("decide_noise", "xor.b32=or.b32", "scores|tokens")]
    [InlineData("attend_bf16_64", "max.f32=min.f32", "attend_bf16 ")]
    [InlineData("wide_product_bf16", ".row.col.f32.bf16.bf16.f32=.row.col.f32.f16.f16.f32", "tiles_bf16_8 ")]
    public void A_kernel_that_computes_wrongly_is_named(string check, string mistake, string named)
    {
        string file = Path.Combine(_folder, "check.json");
        Assert.Equal(1, Run("check", check, file, "--mistake", mistake));
        JsonNode found = JsonNode.Parse(File.ReadAllText(file))!;
        Assert.Equal("wrong", (string?)found["status"]);
        Assert.Matches(named, (string?)found["error"]);
    }

    private static int Run(params string[] arguments)
    {
        string assembly = Path.Combine(AppContext.BaseDirectory, "Understory.Gpu.dll");
        var start = new ProcessStartInfo("dotnet", [assembly, .. arguments, "--emulated"]) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    [GeneratedRegex(@"\.entry (\w+)")]
    private static partial Regex Entry();
}
