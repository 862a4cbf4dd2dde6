using System.Buffers;
using System.Net;
using System.Security.Cryptography;

namespace Understory.Server.Hub;

/// <summary>How far a file has come.</summary>
/// <param name="Done">Bytes of <c>File.Size</c>, those of earlier runs included.</param>
public readonly record struct DownloadProgress(HubFile File, long Done);

/// <summary>
/// Brings a model's files into the cache: several at once, each from where an earlier try was cut, checked against its sum, and
/// visible only when it is whole.
/// </summary>
public sealed class HubDownload(HubClient client, HubCache cache)
{
    private const int AtOnce = 4;
    private const int BufferBytes = 1 << 20;

    /// <summary>A line that says nothing for so long is taken for cut.</summary>
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(60);

    /// <summary>The files that are needed, with what they would take; nothing is fetched yet.</summary>
    /// <param name="draft">It is to draft for another one, and may be a head without a tokenizer of its own.</param>
    /// <exception cref="HubException">The model does not exist, may not be seen, or cannot be served.</exception>
    public async Task<HubListing> PlanAsync(HubReference reference, bool draft, CancellationToken cancellation)
    {
        HubListing all = await client.ListAsync(reference, cancellation);
        return all with { Files = ModelFiles.Choose(reference, all.Files, draft) };
    }

    /// <returns>The snapshot's folder.</returns>
    /// <exception cref="HubException">A file cannot be had, or there is no room for it.</exception>
    public async Task<string> FetchAsync(HubReference reference, HubListing plan, Action<DownloadProgress> progress,
        CancellationToken cancellation)
    {
        string repository = reference.Repository;
        HubFile[] missing = [.. plan.Files.Where(file => !cache.Has(repository, plan.Commit, file))];
        foreach (HubFile here in plan.Files.Except(missing))
        {
            progress(new DownloadProgress(here, here.Size));
        }

        RequireRoom(repository, missing);
        try
        {
            await Parallel.ForEachAsync(missing, new ParallelOptions { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellation },
                async (file, stop) =>
            {
                using (await cache.LockAsync(repository, file.Hash, stop))
                {
                    await FetchAsync(reference, plan.Commit, file, progress, stop);
                    cache.Link(repository, plan.Commit, file);
                }
            });
        }
        catch (AggregateException error) when (error.InnerException is HubException first)
        {
            throw first;
        }

        if (reference.Revision != plan.Commit)
        {
            cache.Name(repository, reference.Revision, plan.Commit);
        }

        return cache.Snapshot(repository, plan.Commit);
    }

    private void RequireRoom(string repository, HubFile[] files)
    {
        Directory.CreateDirectory(cache.Folder);
        long needed = files.Sum(file =>
            file.Size - new FileInfo(Incomplete(repository, file)) switch
            { { Exists: true, Length: var length } =>
                Math.Min(length, file.Size),
                _ => 0
            });
        long free = new DriveInfo(Path.GetFullPath(cache.Folder)).AvailableFreeSpace;
        if (needed > free)
        {
            throw new HubException($"{repository} needs {needed / 1e9:F2} GB more and {cache.Folder} has {free / 1e9:F2} GB free; make "
                + "room, or put the cache elsewhere by HF_HOME.");
        }
    }

    private async Task FetchAsync(HubReference reference, string commit, HubFile file, Action<DownloadProgress> progress,
        CancellationToken cancellation)
    {
        string blob = cache.Blob(reference.Repository, file.Hash);
        if (File.Exists(blob) && new FileInfo(blob).Length == file.Size)
        {
            progress(new DownloadProgress(file, file.Size));
            return;
        }

        string incomplete = Incomplete(reference.Repository, file);
        Directory.CreateDirectory(Path.GetDirectoryName(incomplete)!);
        using var output = new FileStream(incomplete, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0);
        bool wrongOnce = false;
        for (int tried = 1; ; tried++)
        {
            if (output.Length > file.Size)
            {
                output.SetLength(0);
            }

            long before = output.Length;
            Exception? cut = output.Length < file.Size ? await AppendAsync(reference, commit, file, output, progress, cancellation) : null;
            if (output.Length == file.Size)
            {
                if (await SumAsync(file, output, cancellation) == file.Hash)
                {
                    break;
                }

                // Perhaps the part of an earlier run was bad: once more, from the beginning.
                output.SetLength(0);
                if (wrongOnce || before == 0)
                {
                    throw new HubException($"{reference.Repository}/{file.Path} came with a wrong checksum and was thrown away; "
                        + "try again.");
                }

                wrongOnce = true;
                continue;
            }

            // Whoever moves on may be cut as often as the line likes.
            tried = output.Length > before ? 1 : tried;
            await client.WaitAsync(tried, null, cut?.Message ?? $"{file.Path} was cut at {output.Length} of {file.Size} bytes", cut,
                cancellation);
        }

        output.Flush(flushToDisk: true);
        output.Close();
        File.Move(incomplete, blob, overwrite: true);
    }

    /// <summary>Adds what comes to what is there. Returns what cut it, if something did.</summary>
    private async Task<Exception?> AppendAsync(
        HubReference reference, string commit, HubFile file, FileStream output, Action<DownloadProgress> progress,
        CancellationToken cancellation)
    {
        using HttpResponseMessage response = await client.OpenAsync(reference, commit, file, output.Length, cancellation);
        if (response.StatusCode != HttpStatusCode.PartialContent || response.Content.Headers.ContentRange?.From != output.Length)
        {
            output.SetLength(0);
        }

        output.Position = output.Length;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        using var silent = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            using Stream input = await response.Content.ReadAsStreamAsync(cancellation);
            while (true)
            {
                int count;
                try
                {
                    silent.CancelAfter(Silence);
                    count = await input.ReadAsync(buffer, silent.Token);
                }
                catch (Exception error) when (error is IOException or HttpRequestException)
                {
                    return error;
                }
                catch (OperationCanceledException error) when (!cancellation.IsCancellationRequested)
                {
                    return new TimeoutException($"nothing came for {Silence.TotalSeconds:F0} s", error);
                }

                if (count == 0)
                {
                    return null;
                }

                if (output.Length + count > file.Size)
                {
                    throw new HubException($"{reference.Repository}/{file.Path} is longer than the {file.Size} bytes that the hub lists; "
                        + "try again.");
                }

                await output.WriteAsync(buffer.AsMemory(0, count), cancellation);
                progress(new DownloadProgress(file, output.Length));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async Task<string> SumAsync(HubFile file, FileStream content, CancellationToken cancellation)
    {
        using IncrementalHash hash = file.StartHash();
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        content.Position = 0;
        while (await content.ReadAsync(buffer, cancellation) is var count and > 0)
        {
            hash.AppendData(buffer, 0, count);
        }

        ArrayPool<byte>.Shared.Return(buffer);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private string Incomplete(string repository, HubFile file) => cache.Blob(repository, file.Hash) + ".incomplete";
}
