using System.Diagnostics;
using System.Text.RegularExpressions;
using Understory.Models.Kernels.Cuda;

namespace Understory.Models.Tests.Kernels.Cuda;

/// <summary>The PTX that is kept is what its sources compile to.</summary>
public partial class PtxTests
{
    private const string Compiler = "clang-19";

    [CompilerFact]
    public void Every_ptx_is_what_its_source_compiles_to()
    {
        string folder = Directory.CreateTempSubdirectory("ptx").FullName;
        try
        {
            string script = Repository.PathOf("src", "Models", "Kernels", "Cuda", "Source", "build.sh");
            using Process build = Process.Start(new ProcessStartInfo("bash", [script, folder]))!;
            build.WaitForExit();
            Assert.Equal(0, build.ExitCode);
            string[] kept = Directory.GetFiles(Repository.PathOf("src", "Models", "Kernels", "Cuda", "Ptx"), "*.ptx");
            Assert.Equal(kept.Select(Path.GetFileName).Order(), Directory.GetFiles(folder).Select(Path.GetFileName).Order());
            foreach (string file in kept)
            {
                string name = Path.GetFileName(file);
                bool same = File.ReadAllText(file) == File.ReadAllText(Path.Combine(folder, name));
                Assert.True(same, $"{name} is out of date: run Source/build.sh");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData(80)]
    [InlineData(90)]
    public void What_is_embedded_uses_no_local_memory_and_calls_nothing(int target)
    {
        foreach (string module in (string[])["rows", "product", "tiles", "attend", "decide"])
        {
            string text = System.Text.Encoding.UTF8.GetString(KernelModules.Ptx(module, target));
            Assert.Contains($".target sm_{target}", text, StringComparison.Ordinal);
            Assert.DoesNotContain(".local", text, StringComparison.Ordinal);
            Assert.DoesNotContain("call", text, StringComparison.Ordinal);
            Assert.DoesNotContain(".func", text, StringComparison.Ordinal);
        }
    }

    [AssemblerTheory]
    [InlineData(80, 80)]
    [InlineData(80, 86)]
    [InlineData(80, 89)]
    [InlineData(90, 90)]
    public void Every_kernel_is_assembled_without_spills_and_fits_a_multiprocessor(int target, int architecture)
    {
        foreach (string file in Directory.GetFiles(Repository.PathOf("src", "Models", "Kernels", "Cuda", "Ptx"), $"*.sm_{target}.ptx"))
        {
            string[] arguments = ["-v", $"-arch=sm_{architecture}", file, "-o", "/dev/null"];
            var start = new ProcessStartInfo(AssemblerTheoryAttribute.Assembler!, arguments) { RedirectStandardError = true };
            using Process assembler = Process.Start(start)!;
            string said = assembler.StandardError.ReadToEnd();
            assembler.WaitForExit();
            Assert.True(assembler.ExitCode == 0, said);
            string text = File.ReadAllText(file);
            MatchCollection kernels = Resources().Matches(said);
            Assert.Equal(Entry().Count(text), kernels.Count);
            foreach (Match kernel in kernels)
            {
                Assert.True(kernel.Groups["stack"].Value == "0" && kernel.Groups["spill"].Value == "0", kernel.Value);
                // A multiprocessor has 65,536 registers, given to a warp in steps of 256: eight a thread.
                string name = kernel.Groups["name"].Value;
                int threads = Threads(name).Match(text) is { Success: true } bound ? int.Parse(bound.Groups[1].Value) : 1024;
                int registers = (int.Parse(kernel.Groups["registers"].Value) + 7) / 8 * 8;
                Assert.True(registers * threads <= 65536, $"{name}: {registers} registers for each of {threads} threads");
            }
        }
    }

    [GeneratedRegex(@"\.entry ")]
    private static partial Regex Entry();

    /// <summary>Three lines a kernel: its name and architecture, its stack and spills, its registers.</summary>
    [GeneratedRegex(@"entry function '(?<name>\w+)' for .*\s.*\s+(?<stack>\d+) bytes stack frame, (?<spill>\d+) bytes spill.*\s"
        + @".*Used (?<registers>\d+) registers")]
    private static partial Regex Resources();

    /// <summary>The launch bound of a kernel that has one.</summary>
    private static Regex Threads(string kernel) => new($@"\.entry {kernel}\([^)]*\)\s*\.maxntid (\d+)");

    /// <summary>Skipped where there is no assembler, on the path or where tests/Gpu/debian.sh unpacks one.</summary>
    private sealed class AssemblerTheoryAttribute : TheoryAttribute
    {
        private static readonly string _cache = Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "understory", "nvidia-cuda-toolkit", "unpacked", "usr", "bin");

        public static string? Assembler { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator)
            .Append(_cache)
            .Select(folder => Path.Combine(folder, "ptxas")).FirstOrDefault(File.Exists);

        public AssemblerTheoryAttribute()
        {
            if (Assembler is null)
            {
                Skip = "There is no ptxas; tests/Gpu/debian.sh nvidia-cuda-toolkit ptxas fetches one.";
            }
        }
    }

    /// <summary>Skipped where the compiler is not installed.</summary>
    private sealed class CompilerFactAttribute : FactAttribute
    {
        public CompilerFactAttribute()
        {
            string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
            if (!folders.Any(folder => File.Exists(Path.Combine(folder, Compiler))))
            {
                Skip = $"{Compiler} is not installed.";
            }
        }
    }
}
