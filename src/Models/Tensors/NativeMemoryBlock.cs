using System.Runtime.InteropServices;

namespace Understory.Models.Tensors;

/// <summary>
/// Zeroed host memory, page-aligned. On Linux it is an anonymous mapping that asks for huge pages (weights are
/// read end to end every pass, and 4 KiB pages cost a fifth of the bandwidth in TLB misses) and takes
/// physical memory only where it is touched, so that a KV cache may reserve the whole context.
/// </summary>
public sealed unsafe partial class NativeMemoryBlock : MemoryBlock
{
    private const nuint HugePage = 2 << 20;
    private const int ProtReadWrite = 3;
    private const int MapPrivateAnonymous = 0x22;
    private const int AdviseHugePage = 14;
    private const int AdviseNoHugePage = 15;

    private nint _mapping;
    private nuint _mappingBytes;

    /// <param name="sparse">Small pages: only what is touched takes memory, in steps of 4 KiB.</param>
    public NativeMemoryBlock(long bytes, bool sparse = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        Bytes = bytes;
        if (OperatingSystem.IsLinux())
        {
            bool large = !sparse && (nuint)bytes >= HugePage;
            _mappingBytes = (nuint)bytes + (large ? HugePage : 0);
            _mapping = MemoryMap(0, _mappingBytes, ProtReadWrite, MapPrivateAnonymous, -1, 0);
            if (_mapping == -1)
            {
                _mapping = 0;
                throw new InsufficientMemoryException($"The system refused {bytes:N0} bytes of memory.");
            }

            Address = large ? (nint)(((nuint)_mapping + HugePage - 1) & ~(HugePage - 1)) : _mapping;
            // Advice only: a kernel without huge pages serves small ones.
            _ = MemoryAdvise(Address, (nuint)bytes, large ? AdviseHugePage : AdviseNoHugePage);
        }
        else
        {
            Address = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 4096);
            NativeMemory.Clear((void*)Address, (nuint)bytes);
        }
    }

    ~NativeMemoryBlock() => Free();

    protected override void Free()
    {
        if (_mapping != 0)
        {
            _ = MemoryUnmap(_mapping, _mappingBytes);
            _mapping = 0;
        }
        else if (Address != 0 && !OperatingSystem.IsLinux())
        {
            NativeMemory.AlignedFree((void*)Address);
        }
    }

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint MemoryMap(nint address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int MemoryUnmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MemoryAdvise(nint address, nuint length, int advice);
}
