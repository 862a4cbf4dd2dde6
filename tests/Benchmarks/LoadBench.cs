using System.Diagnostics;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Benchmarks;

/// <summary>How fast a model's weights come from its files into the kernels' layout, and what memory that takes.</summary>
internal static class LoadBench
{
    private const int Loads = 7;

    public static void Run(string path)
    {
        using IKernels kernels = KernelCatalog.Create();
        long fileBytes = Directory.Exists(path)
            ? Directory.GetFiles(path, "*.safetensors").Sum(file => new FileInfo(file).Length)
            : new FileInfo(path).Length;
        Console.WriteLine($"{path}: {fileBytes / 1e9:F2} GB, {Environment.ProcessorCount} threads");
        var rates = new List<double>();
        for (int i = 0; i < Loads; i++)
        {
            long start = Stopwatch.GetTimestamp();
            using Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions());
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            rates.Add(fileBytes / seconds / 1e9);
            Console.WriteLine($"  {seconds:F2} s, {rates[^1]:F2} GB/s; weights {model.WeightBytes / 1e9:F2} GB a pass, resident "
                + $"{Resident("VmRSS")}, peak {Resident("VmHWM")}");
        }

        rates.Sort();
        Console.WriteLine($"median {rates[Loads / 2]:F2} GB/s ({rates[0]:F2} to {rates[^1]:F2})");
    }

    /// <summary>A line of what the system says of this process's memory.</summary>
    private static string Resident(string name) => !OperatingSystem.IsLinux() ? "unknown"
        : File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?[(name.Length + 1)..]
        .Trim() ?? "unknown";
}
