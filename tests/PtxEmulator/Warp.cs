using System.Runtime.CompilerServices;

namespace Understory.PtxEmulator;

/// <summary>
/// 32 lanes in lockstep. Where they part, the group that is furthest behind runs, so that groups meet again where the program does; an
/// instruction that needs the whole warp holds a group back until all lanes are there.
/// </summary>
internal sealed unsafe class Warp
{
    private readonly Kernel _kernel;
    private readonly Block _block;
    private readonly int _number;
    private readonly ulong* _registers;
    private readonly List<Group> _groups = [];
    private readonly List<List<Transfer>> _transfers = [[]];
    private bool _waited;

    public Warp(Kernel kernel, Block block, int number, ulong* registers)
    {
        _kernel = kernel;
        _block = block;
        _number = number;
        _registers = registers;
        ulong[] initial = kernel.Registers;
        for (int register = 0; register < initial.Length; register++)
        {
            new Span<ulong>(registers + (register * 32), 32).Fill(initial[register]);
        }

        foreach ((string name, int register) in kernel.Special)
        {
            for (int lane = 0; lane < 32; lane++)
            {
                registers[(register * 32) + lane] = name switch
                {
                    "%tid.x" => (ulong)((number * 32) + lane),
                    "%ntid.x" => (ulong)block.Threads,
                    "%ctaid.x" => (ulong)block.X,
                    "%ctaid.y" => (ulong)block.Y,
                    "%nctaid.x" => (ulong)block.Launch.GridX,
                    "%nctaid.y" => (ulong)block.Launch.GridY,
                    _ => throw new EmulationException($"Unknown special register {name}"),
                };
            }
        }

        _groups.Add(new Group { Counter = 0, Lanes = uint.MaxValue });
        _waited = !kernel.Waits;
    }

    /// <summary>Lanes that are at the same instruction.</summary>
    private sealed class Group
    {
        public int Counter { get; set; }

        public uint Lanes { get; set; }

        /// <summary>Waits at a barrier of the block, or for the other lanes.</summary>
        public bool Held { get; set; }
    }

    /// <summary>An asynchronous copy that was started.</summary>
    private readonly record struct Transfer(ulong Source, long Target, Instruction Instruction);

    public bool Done => _groups.Count == 0;

    public bool AtBarrier { get; private set; }

    public long Steps { get; private set; }

    /// <summary>Goes on behind a barrier of the block.</summary>
    public void Release()
    {
        AtBarrier = false;
        _groups[0].Held = false;
        _groups[0].Counter++;
    }

    /// <summary>Runs until all lanes have ended or wait at a barrier.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run()
    {
        while (Next() is { } group)
        {
            int others = Limit(group);
            while (true)
            {
                Instruction instruction = _kernel.Code[group.Counter];
                Steps++;
                uint lanes = Active(instruction, group.Lanes);
                if (instruction.Kind == InstructionKind.Alu)
                {
                    if (lanes != 0)
                    {
                        instruction.Alu(_registers, instruction, lanes);
                    }

                    group.Counter++;
                }
                else if (!Step(group, instruction, lanes))
                {
                    break;
                }

                if (group.Counter >= others)
                {
                    break;
                }
            }
        }
    }

    private ulong* Register(int number) => _registers + (number * 32);

    private uint Active(Instruction instruction, uint lanes)
    {
        if (instruction.Predicate < 0)
        {
            return lanes;
        }

        ulong* predicate = Register(instruction.Predicate);
        uint active = 0;
        for (int lane = 0; lane < 32; lane++)
        {
            active |= (predicate[lane] != 0) != instruction.Negated ? 1u << lane : 0;
        }

        return active & lanes;
    }

    /// <summary>The group furthest behind; groups at one place become one. Null: none can go on.</summary>
    private Group? Next()
    {
        if (AtBarrier || _groups.Count == 0)
        {
            return null;
        }

        for (int i = _groups.Count - 1; i > 0; i--)
        {
            if (_groups.Find(group => group.Counter == _groups[i].Counter) is { } met && met != _groups[i])
            {
                met.Lanes |= _groups[i].Lanes;
                met.Held = false;
                _groups.RemoveAt(i);
            }
        }

        Group? first = null;
        foreach (Group group in _groups)
        {
            first = !group.Held && (first is null || group.Counter < first.Counter) ? group : first;
        }

        return first ?? throw new EmulationException(
            $"{_kernel.Name}: lanes {_groups[0].Lanes:X8} wait at \"{_kernel.Code[_groups[0].Counter].Text}\" for lanes that never come");
    }

    /// <summary>Where the nearest other group is.</summary>
    private int Limit(Group group)
    {
        int limit = int.MaxValue;
        foreach (Group other in _groups)
        {
            limit = other != group ? Math.Min(limit, other.Counter) : limit;
        }

        return limit;
    }

    /// <summary>False: the group cannot simply go on with the next instruction.</summary>
    private bool Step(Group group, Instruction instruction, uint lanes)
    {
        switch (instruction.Kind)
        {
            case InstructionKind.Branch:
                return Branch(group, instruction, lanes);
            case InstructionKind.Exit:
                Whole(instruction, lanes, group.Lanes);
                _groups.Remove(group);
                return false;
            case InstructionKind.Barrier:
                if (Hold(group, lanes))
                {
                    AtBarrier = true;
                    group.Held = true;
                }

                return false;
            case InstructionKind.WarpBarrier:
                if (!Hold(group, lanes))
                {
                    return false;
                }

                break;
            case InstructionKind.Shuffle:
                if (!Hold(group, lanes))
                {
                    return false;
                }

                Shuffle(instruction);
                break;
            case InstructionKind.Matrix:
                if (!Hold(group, lanes))
                {
                    return false;
                }

                MatrixProduct.Run(_registers, instruction);
                break;
            case InstructionKind.WaitForPrevious:
                _waited = true;
                break;
            case InstructionKind.CommitCopies:
                _transfers.Add([]);
                break;
            case InstructionKind.WaitCopies:
                Land((int)_registers[instruction.Operands[0] * 32]);
                break;
            case InstructionKind.Nothing:
                break;
            default:
                Access(instruction, lanes);
                break;
        }

        group.Counter++;
        return true;
    }

    /// <summary>The whole warp is here; else the group waits for the rest.</summary>
    private static bool Hold(Group group, uint lanes)
    {
        if (lanes == uint.MaxValue)
        {
            return true;
        }

        group.Held = true;
        return false;
    }

    private static void Whole(Instruction instruction, uint lanes, uint expected)
    {
        if (lanes != expected)
        {
            throw new EmulationException($"{instruction.Text}: a predicate is not expected here");
        }
    }

    private bool Branch(Group group, Instruction instruction, uint taken)
    {
        uint straight = group.Lanes & ~taken;
        if (straight == 0)
        {
            bool back = instruction.Target <= group.Counter;
            group.Counter = instruction.Target;
            return !back || _groups.Count == 1;
        }

        group.Counter++;
        if (taken == 0)
        {
            return true;
        }

        group.Lanes = straight;
        _groups.Add(new Group { Counter = instruction.Target, Lanes = taken });
        return false;
    }

    private void Shuffle(Instruction instruction)
    {
        ulong* target = Register(instruction.Operands[0]);
        ulong* source = Register(instruction.Operands[1]);
        ulong* distance = Register(instruction.Operands[2]);
        ulong* values = stackalloc ulong[32];
        for (int lane = 0; lane < 32; lane++)
        {
            values[lane] = source[lane ^ (int)(distance[lane] & 31)];
        }

        new ReadOnlySpan<ulong>(values, 32).CopyTo(new Span<ulong>(target, 32));
    }

    /// <summary>Ends all groups of asynchronous copies but the newest.</summary>
    private void Land(int left)
    {
        // The last list is not committed yet.
        int ended = _transfers.Count - 1 - left;
        for (int i = 0; i < ended; i++)
        {
            foreach (Transfer transfer in _transfers[0])
            {
                for (int part = 0; part < 16; part += 4)
                {
                    ulong value = _block.Launch.Memory.Load(transfer.Source + (ulong)part, 4, _block.Launch.Number, _block.Number,
                        transfer.Instruction);
                    _block.Shared.Store(transfer.Target + part, 4, value, _number, transfer.Instruction);
                }
            }

            _transfers.RemoveAt(0);
        }
    }

    private void Access(Instruction instruction, uint lanes)
    {
        ReadOnlySpan<int> registers = instruction.Vectors.Length > 0 ? instruction.Vectors[0] : instruction.Operands;
        int size = instruction.Size;
        for (; lanes != 0; lanes &= lanes - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(lanes);
            ulong address = At(instruction.Address, lane);
            if (instruction.Kind == InstructionKind.CopyAsync)
            {
                ulong source = At(instruction.Second, lane);
                if (source % 16 != 0 || _registers[(instruction.Operands[0] * 32) + lane] != 16)
                {
                    throw new EmulationException($"{instruction.Text}: {source:X} is not aligned to 16 bytes");
                }

                _block.Shared.Await((long)address, 16, _number, instruction);
                _transfers[^1].Add(new Transfer(source, (long)address, instruction));
                continue;
            }

            if (instruction.Kind == InstructionKind.ReduceShared)
            {
                _block.Shared.Add((long)address, _registers[(instruction.Operands[0] * 32) + lane], instruction);
                continue;
            }

            if (registers.Length > 1 && address % (ulong)(size * registers.Length) != 0)
            {
                throw new EmulationException($"{instruction.Text}: {address:X} is not aligned to {size * registers.Length} bytes");
            }

            if (!_waited && instruction.Kind is InstructionKind.LoadGlobal or InstructionKind.StoreGlobal)
            {
                throw new EmulationException($"{instruction.Text}: device memory is accessed before griddepcontrol.wait");
            }

            for (int i = 0; i < registers.Length; i++)
            {
                ulong at = address + (ulong)(i * size);
                ulong* register = Register(registers[i]) + lane;
                switch (instruction.Kind)
                {
                    case InstructionKind.LoadParameter:
                        *register = Extend(instruction, _block.Launch.Parameter((long)at, size));
                        break;
                    case InstructionKind.LoadGlobal:
                        *register =
                            Extend(instruction, _block.Launch.Memory.Load(at, size, _block.Launch.Number, _block.Number, instruction));
                        break;
                    case InstructionKind.StoreGlobal:
                        _block.Launch.Memory.Store(at, size, *register, _block.Launch.Number, _block.Number, instruction);
                        break;
                    case InstructionKind.LoadShared:
                        *register = Extend(instruction, _block.Shared.Load((long)at, size, _number, instruction));
                        break;
                    case InstructionKind.StoreShared:
                        _block.Shared.Store((long)at, size, *register, _number, instruction);
                        break;
                    default:
                        throw new EmulationException($"Unknown access: {instruction.Text}");
                }
            }
        }
    }

    private ulong At(Address address, int lane) =>
        (address.Register < 0 ? 0 : _registers[(address.Register * 32) + lane]) + (ulong)address.Offset;

    private static ulong Extend(Instruction instruction, ulong value) => !instruction.Signed ? value : instruction.Size switch
    {
        2 => (ulong)(short)value,
        4 => (ulong)(int)value,
        _ => value,
    } & instruction.Mask;
}
