using System.Diagnostics;
using Understory.Training.Torch;

namespace Understory.Training.Tests;

/// <summary>The checkout that the tests lie in, and the trainer as it was built there.</summary>
internal static class Checkout
{
    public static string Root { get; } = Above(AppContext.BaseDirectory);

    /// <summary>The trainer's output folder, of the configuration that the tests were built in.</summary>
    public static string Trainer { get; } = Path.Combine(Root, "src", "Training", "bin",
        Path.GetRelativePath(Path.Combine(Root, "tests", "Training.Tests", "bin"), AppContext.BaseDirectory).TrimEnd('/', '\\'));

    /// <summary>Runs the trainer.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(
        string[] arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        using Process process = Start(arguments, environment);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, await output, await errors);
    }

    public static Process Start(string[] arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(Trainer, "understory-train.dll"), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment.Remove(TorchRuntime.FolderVariable);
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    private static string Above(string folder) => File.Exists(Path.Combine(folder, "ServerSolution.sln"))
        ? folder : Above(Path.GetDirectoryName(folder) ?? throw new DirectoryNotFoundException("The tests do not lie in a checkout."));
}

/// <summary>A test that needs libtorch; skipped with the reason where it does not load.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TorchFactAttribute : FactAttribute
{
    public TorchFactAttribute() => Skip = TorchTests.ReasonToSkip;
}

/// <inheritdoc cref="TorchFactAttribute"/>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TorchTheoryAttribute : TheoryAttribute
{
    public TorchTheoryAttribute() => Skip = TorchTests.ReasonToSkip;
}

internal static class TorchTests
{
    /// <summary>libtorch lies in the trainer's own folder alone.</summary>
    public static string? ReasonToSkip { get; } = Find();

    private static string? Find()
    {
        if (string.IsNullOrEmpty(Environment.GetEnvironmentVariable(TorchRuntime.FolderVariable)))
        {
            Environment.SetEnvironmentVariable(TorchRuntime.FolderVariable, TorchRuntime.FolderBelow(Checkout.Trainer));
        }

        return TorchRuntime.ReasonUnusable;
    }
}

/// <summary>A folder that is gone after the test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("understory").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
