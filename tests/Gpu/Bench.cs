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

    /// <summary>Its JSON for a target with random weights and an oracle at the paper's acceptance and the demo draft's cost.</summary>
    public static void Run(CheckRun run, int temperature, int prompts, int repeats)
    {
        string executable = Path.Combine(AppContext.BaseDirectory, "understory");
        if (!File.Exists(executable))
        {
            throw new SkippedException("the product is not beside the checks");
        }

        string json = Path.GetTempFileName();
        try
        {
            string[] arguments =
            [
                "bench", "--device", "cuda", "--model", Path.Combine(run.Models, "target"), "--draft", Path.Combine(run.Models, "draft"),
                "--random", Target, "--oracle", Acceptance, "--temperature", Text(temperature), "--limit", Text(prompts),
                "--repeat", Text(repeats), "--json", json,
            ];
            using Process process = Process.Start(new ProcessStartInfo(executable, arguments) { RedirectStandardError = true })!;
            string said = process.StandardError.ReadToEnd().Trim();
            process.WaitForExit();
            run.Report("acceptance", $"an oracle's: {Acceptance} % within the first 1, 2, 3, 4 candidates; no model attained it here");
            if (new FileInfo(json).Length > 0)
            {
                run.Report("bench", JsonNode.Parse(File.ReadAllText(json))!);
            }

            run.Expect(process.ExitCode == 0, $"understory bench ended with {process.ExitCode}: {said}");
        }
        finally
        {
            File.Delete(json);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
