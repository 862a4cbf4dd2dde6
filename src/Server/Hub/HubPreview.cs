using System.Buffers.Binary;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Kernels;

namespace Understory.Server.Hub;

/// <summary>
/// What a model would be, found out before its weights are fetched. Its small files and the heads of its large ones are laid out in a
/// folder of their own, with a hole in the place of each large file's data; there it is looked at with the very checks that a load makes.
/// </summary>
public sealed class HubPreview(HubClient client)
{
    private const int AtOnce = 4;

    /// <summary>Enough for the head of a shard, or for the keys of a GGUF file less its vocabulary.</summary>
    private const long FirstBytes = 1 << 18;

    /// <summary>No vocabulary takes so much.</summary>
    private const long MostBytes = 1 << 27;

    /// <param name="plan">What would be fetched.</param>
    /// <param name="target">What it would draft for, as a model or as a head; null: nothing.</param>
    /// <exception cref="HubException">It cannot be served; the message says why.</exception>
    public async Task<ModelSurvey> SurveyAsync(
        HubReference reference, HubListing plan, ModelSurvey? target, CancellationToken cancellation)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("understory-preview-");
        try
        {
            await Parallel.ForEachAsync(
                plan.Files,
                new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellation },
                async (file, stop) => await LayOutAsync(reference, plan.Commit, file, Path.Combine(folder.FullName, file.Path), stop));
            string? gguf = plan.Files.Select(file => file.Path).Where(IsGguf).Order(StringComparer.Ordinal).FirstOrDefault();
            using IKernels kernels = KernelCatalog.Create(KernelCatalog.Available[0].Name, 1);
            return target is not null && Eagle3.IsAt(folder.FullName)
                ? ModelLoader.SurveyHead(folder.FullName, target, kernels, new LoadOptions())
                : ModelLoader.Survey(gguf is null ? folder.FullName : Path.Combine(folder.FullName, gguf), kernels, new LoadOptions());
        }
        catch (ModelLoadException error)
        {
            // The folder means nothing to anybody.
            string reason = error.Message.Replace(folder.FullName + Path.DirectorySeparatorChar, "", StringComparison.Ordinal)
                .Replace(folder.FullName + ": ", "", StringComparison.Ordinal);
            throw new HubException($"{reference} cannot be served, so nothing was fetched: {reason}", error);
        }
        catch (AggregateException error) when (error.InnerException is HubException first)
        {
            throw first;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private Task LayOutAsync(HubReference reference, string commit, HubFile file, string path, CancellationToken cancellation)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        return file.Path switch
        {
            _ when IsGguf(file.Path) => HeadAsync(FirstBytes, HeadOfGguf),
            _ when file.Path.EndsWith(".safetensors", StringComparison.Ordinal) => HeadAsync(FirstBytes, HeadOfSafetensors),
            _ => HeadAsync(file.Size, _ => 0),
        };

        // Reads on until the head is there, or until it is clear that it never will be.
        async Task HeadAsync(long wanted, Func<string, long> headBytes)
        {
            long read = 0;
            do
            {
                wanted = Math.Min(Math.Min(wanted, file.Size), MostBytes);
                byte[] bytes = await client.ReadAsync(reference, commit, file, read, wanted - read, cancellation);
                using (var stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write))
                {
                    stream.Position = read;
                    await stream.WriteAsync(bytes, cancellation);
                    stream.SetLength(file.Size);
                }

                read = wanted;
                wanted = 4 * read;
            }
            while (read < Math.Min(file.Size, MostBytes) && headBytes(path) > read);
        }
    }

    /// <summary>Of a file that has as much of it as was read, and holes behind; beyond what was read where that is not enough.</summary>
    private static long HeadOfGguf(string path)
    {
        try
        {
            return Gguf.HeadBytes(path);
        }
        catch (InvalidDataException)
        {
            // Cut, or damaged: more of it tells.
            return long.MaxValue;
        }
    }

    private static long HeadOfSafetensors(string path)
    {
        Span<byte> length = stackalloc byte[sizeof(ulong)];
        using FileStream stream = File.OpenRead(path);
        return stream.ReadAtLeast(length, length.Length, throwOnEndOfStream: false) < length.Length
            ? 0
            : sizeof(ulong) + (long)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(length), MostBytes);
    }

    private static bool IsGguf(string path) => path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
}
