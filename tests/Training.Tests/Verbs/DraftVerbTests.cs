using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Server.Hosting;
using Understory.Training.Drafting;
using Understory.Training.Optimisation;

namespace Understory.Training.Tests.Verbs;

/// <summary>The program as its user meets it, on the model that comes with the server.</summary>
public sealed class DraftVerbTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>A copy of the bundle's target: what is made for it lies beside it.</summary>
    private string Target()
    {
        string from = DemoBundle.Target;
        string copy = _folder[Path.GetFileName(from)];
        if (File.Exists(from))
        {
            File.Copy(from, copy);
            return copy;
        }

        Directory.CreateDirectory(copy);
        foreach (string file in Directory.EnumerateFiles(from))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        return copy;
    }

    [TorchFact]
    public async Task A_run_that_is_killed_while_it_trains_goes_on_and_leaves_a_draft_that_loads()
    {
        string target = Target();
        File.WriteAllText(_folder["mine.txt"],
            string.Concat(Enumerable.Range(0, 400).Select(i => $"def f{i}(x):\n    return x + {i}\n\n\n")));
        string[] arguments = ["draft", "--target", target, "--minutes", "0.6", "--work", _folder["work"], "--texts", _folder["mine.txt"]];
        string checkpoint = TrainingRun.CheckpointOf(_folder["work/training"]);
        using (Process process = Checkout.Start(arguments))
        {
            string said = "";
            while (await process.StandardOutput.ReadLineAsync() is { } line)
            {
                said += line + "\n";
                if (line.StartsWith("3/6", StringComparison.Ordinal))
                {
                    while (!File.Exists(checkpoint))
                    {
                        Assert.False(process.HasExited);
                        await Task.Delay(20);
                    }

                    process.Kill();
                }
            }

            await process.WaitForExitAsync();
            Assert.Contains("minutes give", said);
            Assert.Contains("--from", said);
        }

        TrainingState kept = Understory.Training.Optimisation.Checkpoint.Peek(checkpoint)!;
        (int exit, string output, string errors) = await Checkout.RunAsync(arguments);
        Assert.True(exit == 0, output + errors);
        Assert.DoesNotContain("1/6", output);
        Assert.All(Regex.Matches(output, @"training: (\d+) %"), line => Assert.True(
            int.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture) >= 100 * kept.Step / kept.Settings.Steps));
        Assert.Contains("held out", output);
        Assert.Contains("6/6", output);
        Assert.True(File.Exists(_folder["work/training/loss.svg"]));
        Assert.Contains("2/6", File.ReadAllText(_folder["work/log"]));
        bool installed = output.Contains("6/6 installed", StringComparison.Ordinal);
        Assert.Equal(installed, Path.Exists(TrainedDraft.FolderOf(target)));

        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
        using LanguageModel draft = ModelLoader.Load(_folder["work/" + TrainedName(target)], kernels, new LoadOptions());
        using LanguageModel model = ModelLoader.Load(target, kernels, new LoadOptions());
        Assert.Equal(model.Tokenizer.Fingerprint, draft.Tokenizer.Fingerprint);

        (exit, _, errors) = await Checkout.RunAsync([.. arguments, "--seed", "2"]);
        Assert.Equal(1, exit);
        Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.Contains("another request (--seed was 1, now 2)", errors);

        // What was trained can be tuned on.
        string from = _folder["work/" + TrainedName(target)];
        (exit, output, errors) = await Checkout.RunAsync(
            ["draft", "--target", target, "--minutes", "0.2", "--work", _folder["tuned"], "--texts", _folder["mine.txt"], "--from", from]);
        Assert.True(exit == 0, output + errors);
        Assert.DoesNotContain("a draft from scratch", output);
        using LanguageModel tuned = ModelLoader.Load(_folder["tuned/" + TrainedName(target)], kernels, new LoadOptions());
        Assert.Equal(draft.Config.Layers.Count, tuned.Config.Layers.Count);
        Assert.Equal(draft.Transformer.WeightBytes, tuned.Transformer.WeightBytes);
    }

    private static string TrainedName(string target) => File.Exists(target) ? "model.gguf" : "model";

    [Theory]
    [InlineData("--target", "/no/such/model")]
    [InlineData("--texts", "/no/such/text")]
    [InlineData("--minutes", "-1")]
    [InlineData("--from", "/no/such/draft")]
    public async Task What_cannot_be_is_said_in_one_line_that_names_it(string option, string value)
    {
        string[] target = option == "--target" ? [] : ["--target", DemoBundle.Target];
        (int exit, string output, string errors) = await Checkout.RunAsync(
            ["draft", .. target, "--work", _folder["work"], option, value]);
        Assert.Equal(1, exit);
        Assert.Empty(output);
        Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.StartsWith("understory-train: ", errors);
        Assert.Contains(option, errors);
        Assert.Contains(value, errors);
    }

    [Fact]
    public void Conversations_are_written_only_by_models_with_a_template()
    {
        using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
        using LanguageModel model =
            ModelLoader.Load(Path.Combine(Checkout.Root, "tests", "Fixtures", "standin", "target"), kernels, new LoadOptions());
        TextScript documents = TextScript.Documents(model);
        Assert.Single(documents.Openings);
        Assert.Null(TextScript.Conversations(model));

        // Its template writes a user's message between these two.
        using LanguageModel demo = ModelLoader.Load(DemoBundle.Target, kernels, new LoadOptions());
        Assert.Equal(["<|user|>", "<|end|><|assistant|>"],
            TextScript.Conversations(demo)!.Openings.Select(opening => demo.Tokenizer.Decode(opening, skipSpecial: false)));
    }

    [TorchFact]
    public async Task Interrupted_it_says_that_it_goes_on_and_that_is_kept()
    {
        using Process process = Checkout.Start(["draft", "--target", Target(), "--minutes", "5", "--work", _folder["work"]]);
        string? line;
        do
        {
            line = await process.StandardOutput.ReadLineAsync();
        }
        while (line is not null && !line.StartsWith("2/6", StringComparison.Ordinal));
        Assert.NotNull(line);
        using (Process kill = Process.Start("kill", ["-INT", process.Id.ToString(CultureInfo.InvariantCulture)]))
        {
            await kill.WaitForExitAsync();
        }

        string errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.Equal(1, process.ExitCode);
        Assert.Contains("The same command goes on from there", errors);
        Assert.True(File.Exists(_folder["work/plan.json"]));
    }
}
