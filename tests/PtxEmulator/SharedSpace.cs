namespace Understory.PtxEmulator;

/// <summary>
/// A block's shared memory. Reads of what nobody wrote and accesses of two warps without a barrier between them, one of them a write, are
/// errors.
/// </summary>
internal sealed class SharedSpace(int bytes)
{
    private readonly byte[] _data = new byte[bytes];
    private readonly bool[] _written = new bool[bytes];
    private readonly (int Epoch, int Warp)[] _writers = new (int, int)[(bytes + 3) / 4];
    private readonly (int Epoch, int Warp)[] _readers = new (int, int)[(bytes + 3) / 4];

    /// <summary>Barriers that the block has passed, from 1 on.</summary>
    public int Epoch { get; set; } = 1;

    public ulong Load(long address, int size, int warp, Instruction instruction)
    {
        Check(address, size, instruction);
        for (int i = 0; i < size; i++)
        {
            if (!_written[address + i])
            {
                throw new EmulationException($"{instruction.Text}: reads byte {address + i} of shared memory, which was never written");
            }
        }

        for (long word = address / 4; word <= (address + size - 1) / 4; word++)
        {
            if (_writers[word].Epoch == Epoch && _writers[word].Warp != warp)
            {
                throw new EmulationException($"{instruction.Text}: warp {warp} reads byte {address} of shared memory, which warp "
                    + $"{_writers[word].Warp} wrote without a barrier between");
            }

            _readers[word] = (Epoch, _readers[word].Epoch == Epoch && _readers[word].Warp != warp ? -2 : warp);
        }

        ulong value = 0;
        for (int i = size - 1; i >= 0; i--)
        {
            value = (value << 8) | _data[address + i];
        }

        return value;
    }

    public void Store(long address, int size, ulong value, int warp, Instruction instruction)
    {
        Check(address, size, instruction);
        Claim(address, size, warp, instruction);
        for (int i = 0; i < size; i++)
        {
            _data[address + i] = (byte)(value >> (8 * i));
            _written[address + i] = true;
        }
    }

    /// <summary>An atomic addition: warps may meet here, but not with plain accesses.</summary>
    public void Add(long address, ulong value, Instruction instruction)
    {
        const int Atomic = -3;
        Check(address, 8, instruction);
        for (long word = address / 4; word < (address / 4) + 2; word++)
        {
            if ((_writers[word].Epoch == Epoch && _writers[word].Warp != Atomic) || _readers[word].Epoch == Epoch)
            {
                throw new EmulationException($"{instruction.Text}: byte {address} of shared memory was accessed without a barrier between");
            }

            _writers[word] = (Epoch, Atomic);
        }

        ulong sum = BitConverter.ToUInt64(_data, (int)address) + value;
        BitConverter.TryWriteBytes(_data.AsSpan((int)address), sum);
        if (_written.AsSpan((int)address, 8).Contains(false))
        {
            throw new EmulationException($"{instruction.Text}: adds to byte {address} of shared memory, which was never written");
        }
    }

    /// <summary>What an asynchronous copy will write is undefined from its start on.</summary>
    public void Await(long address, int size, int warp, Instruction instruction)
    {
        if (address % size != 0)
        {
            throw new EmulationException($"{instruction.Text}: byte {address} of shared memory is not aligned to {size} bytes");
        }

        Check(address, 1, instruction);
        Check(address + size - 1, 1, instruction);
        Claim(address, size, warp, instruction);
        _written.AsSpan((int)address, size).Clear();
    }

    private void Claim(long address, int size, int warp, Instruction instruction)
    {
        for (long word = address / 4; word <= (address + size - 1) / 4; word++)
        {
            if ((_writers[word].Epoch == Epoch && _writers[word].Warp != warp)
                || (_readers[word].Epoch == Epoch && _readers[word].Warp != warp))
            {
                throw new EmulationException($"{instruction.Text}: warp {warp} writes byte {address} of shared memory, which another warp "
                    + "accessed without a barrier between");
            }

            _writers[word] = (Epoch, warp);
        }
    }

    private void Check(long address, int size, Instruction instruction)
    {
        if (address < 0 || address + size > _data.Length || address % size != 0)
        {
            throw new EmulationException($"{instruction.Text}: {size} bytes at {address} of shared memory, which has {_data.Length}");
        }
    }
}
