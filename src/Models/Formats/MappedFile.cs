using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace Understory.Models.Formats;

/// <summary>A file as read-only memory.</summary>
internal sealed unsafe partial class MappedFile : IDisposable
{
    private const int AdviseSequential = 2;
    private const int AdviseDontNeed = 4;

    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    /// <exception cref="InvalidDataException">The file is empty.</exception>
    public MappedFile(string path)
    {
        Path = path;
        // Of the opened file: where the path is a link, its own length is another.
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, bufferSize: 0);
        Length = stream.Length;
        if (Length == 0)
        {
            stream.Dispose();
            throw new InvalidDataException($"{path}: the file is empty.");
        }

        _file = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        _view = _file.CreateViewAccessor(0, Length, MemoryMappedFileAccess.Read);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        Start = start + _view.PointerOffset;
        Advise(Start, Length, AdviseSequential);
    }

    public string Path { get; }

    public byte* Start { get; }

    public long Length { get; }

    /// <summary>Lets go of the physical pages that lie wholly in this range: they have been read and will not be again.</summary>
    public static void Forget(byte* start, long bytes)
    {
        long page = Environment.SystemPageSize;
        long first = ((long)start + page - 1) / page * page;
        long end = ((long)start + bytes) / page * page;
        if (end > first)
        {
            Advise((byte*)first, end - first, AdviseDontNeed);
        }
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }

    private static void Advise(byte* start, long bytes, int advice)
    {
        // Advice only: where it is not taken, pages leave when memory runs short.
        if (OperatingSystem.IsLinux())
        {
            _ = MemoryAdvise((nint)start, (nuint)bytes, advice);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MemoryAdvise(nint address, nuint length, int advice);
}
