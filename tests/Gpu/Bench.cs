using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Understory.Gpu;

/// <summary>The product's own <c>bench</c>, where publish.sh put the product beside these checks.</summary>
internal static class Bench
{
    /// <summary>GPT-2-L's layers with the vocabulary of the demo's tokenizer.</summary>
    private const string Target = "gpt2:1280x36:4096";

    /// <summary>The paper's draft ranks the right token within its first 1, 2, 3, 4 candidates in so many percent of positions.</summary>
    private const string Acceptance = "60,79,82,85";

    public static string? Executable
    {
        get
        {
            string path = Path.Combine(AppContext.BaseDirectory, "..", "server", "understory");
            return File.Exists(path) ? path : null;
        }
    }

    /// <summary>Its JSON for a target with random weights and an oracle at the paper's acceptance and the demo draft's cost.</summary>
    public static JsonObject Run(string executable, string models, int temperature, int prompts)
    {
        string json = Path.GetTempFileName();
        try
        {
            string[] arguments =
            [
                "bench", "--device", "cuda", "--model", Path.Combine(models, "target"), "--draft", Path.Combine(models, "draft"), "--random", Target, "--oracle", Acceptance,
                "--temperature", temperature.ToString(CultureInfo.InvariantCulture), "--limit", prompts.ToString(CultureInfo.InvariantCulture), "--json", json,
            ];
            using Process process = Process.Start(new ProcessStartInfo(executable, arguments))!;
            process.WaitForExit();
            var found = new JsonObject
            {
                ["acceptance"] = $"an oracle in the draft's place: {Acceptance} % within the first 1, 2, 3, 4 candidates; no model attained it here",
                ["bench"] = new FileInfo(json).Length > 0 ? JsonNode.Parse(File.ReadAllText(json)) : null,
            };
            return process.ExitCode == 0 ? found : throw new CheckFailedException($"understory bench ended with {process.ExitCode}: {found.ToJsonString()}");
        }
        finally
        {
            File.Delete(json);
        }
    }
}
