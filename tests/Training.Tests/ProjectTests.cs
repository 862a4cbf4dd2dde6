using System.Diagnostics;
using System.Text.Json;

namespace Understory.Training.Tests;

public class ProjectTests
{
    [Theory]
    [InlineData("cpu")]
    [InlineData("cuda")]
    public async Task It_references_libtorch_for_the_builder_s_own_system_and_the_device_that_is_asked_for(string torch)
    {
        (string Name, bool Published)[] packages = [.. (await PackagesAsync("src/Training", torch)).Where(package =>
            package.Name.StartsWith("libtorch", StringComparison.Ordinal)
            || package.Name.StartsWith("TorchSharp-", StringComparison.Ordinal))];
        string[] expected = (torch, OperatingSystem.IsLinux(), OperatingSystem.IsWindows()) switch
        {
            ("cuda", true, _) => ["TorchSharp-cuda-linux"],
            ("cuda", _, true) => ["TorchSharp-cuda-windows"],
            (_, true, _) => ["libtorch-cpu-linux-x64"],
            (_, _, true) => ["libtorch-cpu-win-x64"],
            ("cpu", _, _) => ["libtorch-cpu-osx-arm64"],
            _ => [],
        };
        // Private assets are not published unless that is said: the container's trainer would lack them.
        Assert.Equal(expected.Select(name => (name, true)), packages);
    }

    [Fact]
    public async Task The_server_references_nothing_of_libtorch() =>
        Assert.DoesNotContain(await PackagesAsync("src/Server", "cpu"),
            package => package.Name.Contains("torch", StringComparison.OrdinalIgnoreCase));

    [Fact]
    public void Libtorch_lies_in_the_trainer_s_output_folder_alone()
    {
        string trainer = Path.Combine(Checkout.Root, "src", "Training");
        IEnumerable<string> found = new[] { "src", "tests" }
            .SelectMany(folder => Directory.EnumerateDirectories(Path.Combine(Checkout.Root, folder)))
            .Where(project => project != trainer && Directory.Exists(Path.Combine(project, "bin")))
            .SelectMany(project => Directory.EnumerateFiles(Path.Combine(project, "bin"), "*torch_cpu.*", SearchOption.AllDirectories));
        Assert.Empty(found);
    }

    private static async Task<(string Name, bool Published)[]> PackagesAsync(string project, string torch)
    {
        var start = new ProcessStartInfo("dotnet",
            ["msbuild", Path.Combine(Checkout.Root, project), "-getItem:PackageReference", $"-p:Torch={torch}"])
        {
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        using JsonDocument document = JsonDocument.Parse(output);
        return [.. document.RootElement.GetProperty("Items").GetProperty("PackageReference").EnumerateArray()
            .Select(item => (item.GetProperty("Identity").GetString()!,
                item.TryGetProperty("Publish", out JsonElement publish) && publish.GetString() == "true"))];
    }
}
