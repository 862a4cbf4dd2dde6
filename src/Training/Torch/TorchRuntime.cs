using System.Runtime.InteropServices;
using TorchSharp;

namespace Understory.Training.Torch;

/// <summary>libtorch: whether it loads on this system, and where it computes.</summary>
public static class TorchRuntime
{
    /// <summary>A folder with libtorch's libraries, where they do not lie beside the program.</summary>
    public const string FolderVariable = "UNDERSTORY_LIBTORCH";

    private static readonly Lazy<string?> _reason = new(Load);

    /// <summary>Why libtorch cannot be used, in one line; null: it can.</summary>
    public static string? ReasonUnusable => _reason.Value;

    /// <summary>libtorch's own folder below the folder of a program that was built with it.</summary>
    public static string FolderBelow(string program) => Path.Combine(program, "runtimes",
        OperatingSystem.IsWindows() ? "win-x64" : OperatingSystem.IsMacOS() ? "osx-arm64" : "linux-x64", "native");

    /// <exception cref="TrainingException">libtorch cannot be loaded; the message says why and what would help.</exception>
    public static void Require()
    {
        if (ReasonUnusable is { } reason)
        {
            throw new TrainingException(reason);
        }
    }

    /// <summary>The fastest device that libtorch has: CUDA, Apple's GPU, else the processor.</summary>
    public static torch.Device Device()
    {
        Require();
        return torch.cuda.is_available() ? torch.CUDA : torch.mps_is_available() ? torch.MPS : torch.CPU;
    }

    private static string? Load()
    {
        string[] folders = Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } named
            ? [named] : [FolderBelow(AppContext.BaseDirectory), AppContext.BaseDirectory];
        string[] libraries = OperatingSystem.IsWindows() ? ["c10.dll", "torch_cpu.dll", "torch.dll"]
            : OperatingSystem.IsMacOS() ? ["libc10.dylib", "libtorch_cpu.dylib", "libtorch.dylib"]
            : ["libc10.so", "libtorch_cpu.so", "libtorch.so"];
        string? folder = folders.FirstOrDefault(folder => File.Exists(Path.Combine(folder, libraries[0])));
        const string Remedy = "'docker compose --profile trainer run trainer' trains on any system";
        if (folder is null)
        {
            return $"There is no libtorch for {RuntimeInformation.RuntimeIdentifier} in {folders[0]}; {Remedy}.";
        }

        try
        {
            // TorchSharp's own loader copies all of it elsewhere and tells of a failure in a page of text: what a system lacks is said here
            // first. Its own library lies with the program.
            string own = OperatingSystem.IsWindows() ? "LibTorchSharp.dll"
                : OperatingSystem.IsMacOS() ? "libLibTorchSharp.dylib" : "libLibTorchSharp.so";
            string[] places = [folder, FolderBelow(AppContext.BaseDirectory), AppContext.BaseDirectory];
            IEnumerable<string> paths = [.. libraries.Select(library => Path.Combine(folder, library)),
                .. places.Select(place => Path.Combine(place, own)).Where(File.Exists).Take(1)];
            foreach (string path in paths)
            {
                NativeLibrary.Load(path);
            }

            torch.InitializeDeviceType(DeviceType.CPU);
            return null;
        }
        catch (Exception e) when (
            e is DllNotFoundException or BadImageFormatException or TypeInitializationException or NotSupportedException)
        {
            return Explained(e.GetBaseException().Message) + $"; {Remedy}.";
        }
    }

    /// <summary>What a system's loader says, in a line.</summary>
    internal static string Explained(string message)
    {
        const string Lacking = "' not found";
        int end = message.IndexOf(Lacking, StringComparison.Ordinal);
        int start = end < 0 ? -1 : message.LastIndexOf('`', end);
        if (start >= 0)
        {
            return $"libtorch cannot be loaded: it needs {message[(start + 1)..end]}, which this system's libraries lack (Ubuntu 24.04, "
                + "Debian 13 and later have it)";
        }

        string line = message.ReplaceLineEndings(" ").Trim();
        return $"libtorch cannot be loaded: {(line.Length > 300 ? line[..300] + "..." : line)}";
    }
}
