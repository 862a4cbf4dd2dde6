using System.Security.Cryptography;
using System.Text;

namespace Understory.Server.Hub;

/// <summary>A file of a repository at one commit.</summary>
/// <param name="Path">Within the repository, with '/'.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Hash">Lower-case hex: SHA-256 of the content where the file is stored as a large one, else its git blob id (SHA-1). Also
/// its name in the cache.</param>
public sealed record HubFile(string Path, long Size, string Hash)
{
    private const int Sha256Digits = 64;

    /// <summary>Hashes content as <see cref="Hash"/> was made: git puts a header before it.</summary>
    public IncrementalHash StartHash()
    {
        if (Hash.Length == Sha256Digits)
        {
            return IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        }

        IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {Size}\0"));
        return hash;
    }
}

/// <summary>What a repository holds at a commit.</summary>
/// <param name="Commit">The commit that the revision stands for.</param>
public sealed record HubListing(string Commit, IReadOnlyList<HubFile> Files);
