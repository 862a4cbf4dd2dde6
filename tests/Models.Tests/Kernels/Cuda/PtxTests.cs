using System.Diagnostics;
using Understory.Models.Kernels.Cuda;

namespace Understory.Models.Tests.Kernels.Cuda;

/// <summary>The PTX that is kept is what its sources compile to.</summary>
public class PtxTests
{
    private const string Compiler = "clang-19";

    [CompilerFact]
    public void Every_ptx_is_what_its_source_compiles_to()
    {
        string folder = Directory.CreateTempSubdirectory("ptx").FullName;
        try
        {
            using Process build = Process.Start(new ProcessStartInfo("bash", [Repository.PathOf("src", "Models", "Kernels", "Cuda", "Source", "build.sh"), folder]))!;
            build.WaitForExit();
            Assert.Equal(0, build.ExitCode);
            string[] kept = Directory.GetFiles(Repository.PathOf("src", "Models", "Kernels", "Cuda", "Ptx"), "*.ptx");
            Assert.Equal(kept.Select(Path.GetFileName).Order(), Directory.GetFiles(folder).Select(Path.GetFileName).Order());
            foreach (string file in kept)
            {
                Assert.True(File.ReadAllText(file) == File.ReadAllText(Path.Combine(folder, Path.GetFileName(file))), $"{Path.GetFileName(file)} is out of date: run Source/build.sh");
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

    /// <summary>Skipped where the compiler is not installed.</summary>
    private sealed class CompilerFactAttribute : FactAttribute
    {
        public CompilerFactAttribute()
        {
            if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, Compiler))))
            {
                Skip = $"{Compiler} is not installed.";
            }
        }
    }
}
