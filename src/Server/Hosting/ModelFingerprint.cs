using System.Security.Cryptography;
using System.Text;
using Understory.Models.Formats;
using Understory.Models.Kernels;

namespace Understory.Server.Hosting;

/// <summary>What an answer's text depends on beside the request.</summary>
public static class ModelFingerprint
{
    /// <summary>
    /// A hash of kernel set, version, type of keys and values, what weights are quantised to, and the model's files; of large ones only
    /// length and evenly spread samples, since reading gigabytes would take longer than the start does.
    /// </summary>
    public static string Of(string path, IKernels kernels, CacheType cacheType, string? weights)
    {
        const int WholeBytes = 16 << 20;
        const int Samples = 256;
        const int SampleBytes = 4096;
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        string made = $"{kernels.Name} {cacheType.Name()} {typeof(ModelFingerprint).Assembly.GetName().Version} {weights}";
        hash.AppendData(Encoding.UTF8.GetBytes(made));
        IEnumerable<string> files = File.Exists(path)
            ? Gguf.FilesOf(path)
            : Directory.EnumerateFiles(path).Where(file => Path.GetExtension(file) is ".json" or ".safetensors")
            .Order(StringComparer.Ordinal);
        byte[] buffer = new byte[SampleBytes];
        foreach (string file in files)
        {
            using FileStream stream = File.OpenRead(file);
            hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(file)} {stream.Length}"));
            if (stream.Length <= WholeBytes)
            {
                hash.AppendData(SHA256.HashData(stream));
                continue;
            }

            for (int i = 0; i < Samples; i++)
            {
                stream.Position = (stream.Length - SampleBytes) / (Samples - 1) * i;
                stream.ReadExactly(buffer);
                hash.AppendData(buffer);
            }
        }

        return "fp_" + Convert.ToHexStringLower(hash.GetHashAndReset().AsSpan(0, 8));
    }
}
