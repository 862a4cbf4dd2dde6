using System.Security.Cryptography;
using System.Text;

namespace Understory.Training.Files;

/// <summary>Tells whether a file or folder is still the one that it was, without reading all of it.</summary>
internal static class FileState
{
    /// <summary>Places that are looked at, the first bytes and the last among them, and bytes at each. Chosen: a file of any size in an
    /// instant, and weights differ everywhere if anywhere.</summary>
    private const int Places = 16;
    private const int PlaceBytes = 1 << 16;

    /// <summary>Of a file its length and what stands at some places of it, of a folder that of all files; empty: it is not there.</summary>
    public static string Of(string path)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        if (Directory.Exists(path))
        {
            foreach (string file in Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
            {
                hash.AppendData(Encoding.UTF8.GetBytes(Path.GetRelativePath(path, file)));
                Add(hash, file);
            }
        }
        else if (File.Exists(path))
        {
            Add(hash, path);
        }
        else
        {
            return "";
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }

    private static void Add(IncrementalHash hash, string file)
    {
        using FileStream stream = File.OpenRead(file);
        hash.AppendData(BitConverter.GetBytes(stream.Length));
        byte[] bytes = new byte[PlaceBytes];
        for (int place = 0; place < Places; place++)
        {
            stream.Position = (long)(Math.Max(0, stream.Length - PlaceBytes) * (place / (Places - 1.0)));
            hash.AppendData(bytes, 0, stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false));
        }
    }
}
