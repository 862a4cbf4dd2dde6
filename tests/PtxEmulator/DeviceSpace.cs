using System.Runtime.InteropServices;

namespace Understory.PtxEmulator;

/// <summary>
/// The emulated device's memory: allocations at addresses that no host pointer has, each byte known to be written or not, and every word's
/// readers and writers of the present launch, so that blocks of one launch that touch each other's words are seen.
/// </summary>
internal sealed unsafe class DeviceSpace
{
    private const ulong Base = 0x7A00_0000_0000;
    private const ulong Gap = 1 << 20;

    private readonly List<Region> _regions = [];
    private ulong _next = Base;
    private Region? _last;

    /// <summary>One allocation.</summary>
    internal sealed class Region(ulong address, long bytes)
    {
        public ulong Address { get; } = address;

        public long Bytes { get; } = bytes;

        public byte* Data { get; } = (byte*)NativeMemory.Alloc((nuint)bytes);

        /// <summary>1: written.</summary>
        public byte* Written { get; } = (byte*)NativeMemory.AllocZeroed((nuint)bytes);

        /// <summary>1: there is memory behind the address.</summary>
        public byte[]? Mapped { get; set; }

        /// <summary>Per word: launch and block of the last write and of the last read; block -2 after reads of several.</summary>
        public (int Launch, int Block)[] Writers { get; } = new (int, int)[(bytes + 3) / 4];

        public (int Launch, int Block)[] Readers { get; } = new (int, int)[(bytes + 3) / 4];

        public void Release()
        {
            NativeMemory.Free(Data);
            NativeMemory.Free(Written);
        }
    }

    public long Used { get; private set; }

    public ulong Allocate(long bytes, bool mapped)
    {
        var region = new Region(_next, bytes) { Mapped = mapped ? null : new byte[bytes >> MapShift] };
        _next = (_next + (ulong)bytes + Gap + 255) & ~255UL;
        _regions.Add(region);
        Used += mapped ? bytes : 0;
        return region.Address;
    }

    /// <summary>Steps of 64 KiB are mapped.</summary>
    public const int MapShift = 16;

    public void Map(ulong address, long bytes, bool on)
    {
        Region region = Find(address, bytes, "mapping");
        region.Mapped!.AsSpan((int)((long)(address - region.Address) >> MapShift), (int)(bytes >> MapShift)).Fill(on ? (byte)1 : (byte)0);
        Used += on ? bytes : -bytes;
    }

    public void Free(ulong address)
    {
        Region region = _regions.Find(region => region.Address == address)
            ?? throw new EmulationException($"Freed what is not allocated: {address:X}");
        _regions.Remove(region);
        Used -= region.Mapped is null ? region.Bytes : 0;
        _last = null;
        region.Release();
    }

    public int Allocations => _regions.Count;

    /// <summary>The allocation that holds these bytes.</summary>
    public Region Find(ulong address, long bytes, string what)
    {
        Region? region = _last;
        if (region is null || address < region.Address || address + (ulong)bytes > region.Address + (ulong)region.Bytes)
        {
            region = null;
            int low = 0;
            int high = _regions.Count - 1;
            while (low <= high)
            {
                int middle = (low + high) / 2;
                Region candidate = _regions[middle];
                if (address < candidate.Address)
                {
                    high = middle - 1;
                }
                else if (address >= candidate.Address + (ulong)candidate.Bytes)
                {
                    low = middle + 1;
                }
                else
                {
                    region = candidate;
                    break;
                }
            }

            if (region is null || address + (ulong)bytes > region.Address + (ulong)region.Bytes)
            {
                string nearest = region is null
                    ? ""
                    : $" (one of {region.Bytes} bytes ends {(long)(address + (ulong)bytes - region.Address) - region.Bytes} bytes before)";
                throw new EmulationException($"{what}: {bytes} bytes at {address:X} are outside every allocation{nearest}");
            }

            _last = region;
        }

        return region;
    }

    private static void CheckMapped(Region region, long offset, long bytes, string what)
    {
        if (region.Mapped is { } mapped)
        {
            for (long step = offset >> MapShift; step <= (offset + bytes - 1) >> MapShift; step++)
            {
                if (mapped[step] == 0)
                {
                    throw new EmulationException($"{what}: no memory is mapped at byte {offset} of a reserved range");
                }
            }
        }
    }

    public ulong Load(ulong address, int bytes, int launch, int block, Instruction instruction)
    {
        Region region = Locate(address, bytes, instruction, out long offset);
        for (int i = 0; i < bytes; i++)
        {
            if (region.Written[offset + i] == 0)
            {
                throw new EmulationException($"{instruction.Text}: reads byte {offset + i} of {region.Bytes}, which was never written");
            }
        }

        long word = offset / 4;
        (int Launch, int Block) writer = region.Writers[word];
        if (writer.Launch == launch && writer.Block != block)
        {
            throw new EmulationException($"{instruction.Text}: block {block} reads byte {offset}, which block {writer.Block} of the same "
                + "launch wrote");
        }

        (int Launch, int Block) reader = region.Readers[word];
        region.Readers[word] = (launch, reader.Launch == launch && reader.Block != block ? -2 : block);
        byte* at = region.Data + offset;
        return bytes switch { 1 => *at, 2 => *(ushort*)at, 4 => *(uint*)at, _ => *(ulong*)at };
    }

    public void Store(ulong address, int bytes, ulong value, int launch, int block, Instruction instruction)
    {
        Region region = Locate(address, bytes, instruction, out long offset);
        long word = offset / 4;
        (int Launch, int Block) reader = region.Readers[word];
        (int Launch, int Block) writer = region.Writers[word];
        if (reader.Launch == launch && reader.Block != block)
        {
            throw new EmulationException($"{instruction.Text}: block {block} writes byte {offset}, which block {reader.Block} of the same "
                + "launch reads");
        }

        // Two blocks may write the two halves of a word.
        if (bytes >= 4 && writer.Launch == launch && writer.Block != block)
        {
            throw new EmulationException($"{instruction.Text}: block {block} writes byte {offset}, which block {writer.Block} of the same "
                + "launch writes");
        }

        region.Writers[word] = (launch, block);
        byte* at = region.Data + offset;
        new Span<byte>(region.Written + offset, bytes).Fill(1);
        switch (bytes)
        {
            case 1:
                *at = (byte)value;
                break;
            case 2:
                *(ushort*)at = (ushort)value;
                break;
            case 4:
                *(uint*)at = (uint)value;
                break;
            default:
                *(ulong*)at = value;
                break;
        }
    }

    public void CopyIn(byte* host, ulong address, long bytes, string what)
    {
        Region region = Whole(address, bytes, what, out long offset);
        Buffer.MemoryCopy(host, region.Data + offset, bytes, bytes);
        NativeMemory.Fill(region.Written + offset, (nuint)bytes, 1);
    }

    public void CopyOut(ulong address, byte* host, long bytes, string what)
    {
        Region region = Whole(address, bytes, what, out long offset);
        int unwritten = new ReadOnlySpan<byte>(region.Written + offset, checked((int)bytes)).IndexOf((byte)0);
        if (unwritten >= 0)
        {
            throw new EmulationException($"{what}: byte {unwritten} of {bytes} was never written");
        }

        Buffer.MemoryCopy(region.Data + offset, host, bytes, bytes);
    }

    public void Copy(ulong source, ulong target, long bytes)
    {
        Region from = Whole(source, bytes, "copy", out long at);
        Region to = Whole(target, bytes, "copy", out long there);
        Buffer.MemoryCopy(from.Data + at, to.Data + there, bytes, bytes);
        Buffer.MemoryCopy(from.Written + at, to.Written + there, bytes, bytes);
    }

    public void Fill(ulong address, byte value, long bytes)
    {
        Region region = Whole(address, bytes, "fill", out long offset);
        NativeMemory.Fill(region.Data + offset, (nuint)bytes, value);
        NativeMemory.Fill(region.Written + offset, (nuint)bytes, 1);
    }

    private Region Whole(ulong address, long bytes, string what, out long offset)
    {
        Region region = Find(address, bytes, what);
        offset = (long)(address - region.Address);
        CheckMapped(region, offset, bytes, what);
        return region;
    }

    private Region Locate(ulong address, int bytes, Instruction instruction, out long offset)
    {
        if (address % (ulong)bytes != 0)
        {
            throw new EmulationException($"{instruction.Text}: {address:X} is not aligned to {bytes} bytes");
        }

        Region region = Find(address, bytes, instruction.Text);
        offset = (long)(address - region.Address);
        CheckMapped(region, offset, bytes, instruction.Text);
        return region;
    }
}
