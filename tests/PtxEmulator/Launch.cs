using System.Runtime.InteropServices;

namespace Understory.PtxEmulator;

/// <summary>One launch of a kernel: its blocks one after the other, a block's warps in turns from barrier to barrier.</summary>
internal sealed unsafe class Launch(Kernel kernel, DeviceSpace memory, int number, int gridX, int gridY, int threads, int dynamicShared,
    byte[] parameters)
{
    public DeviceSpace Memory => memory;

    public int Number => number;

    public int GridX => gridX;

    public int GridY => gridY;

    public ulong Parameter(long offset, int size)
    {
        if (offset < 0 || offset + size > parameters.Length)
        {
            throw new EmulationException($"{kernel.Name}: reads byte {offset} of {parameters.Length} bytes of parameters");
        }

        return size switch
        {
            1 => parameters[offset],
            2 => BitConverter.ToUInt16(parameters, (int)offset),
            4 => BitConverter.ToUInt32(parameters, (int)offset),
            _ => BitConverter.ToUInt64(parameters, (int)offset),
        };
    }

    /// <returns>Instructions of warps.</returns>
    public long Run()
    {
        if (gridX <= 0 || gridY <= 0 || gridY > 65535 || threads <= 0 || threads > kernel.MaxThreads || threads % 32 != 0)
        {
            throw new EmulationException($"{kernel.Name}: a grid of {gridX} x {gridY} blocks of {threads} threads, of {kernel.MaxThreads} "
                + "at most, cannot be launched");
        }

        long steps = 0;
        int warps = threads / 32;
        nuint bytes = (nuint)kernel.Registers.Length * 32 * sizeof(ulong);
        var registers = new ulong*[warps];
        try
        {
            for (int warp = 0; warp < warps; warp++)
            {
                registers[warp] = (ulong*)NativeMemory.AlignedAlloc(bytes, 64);
            }

            // Last block first: nothing may depend on the order.
            for (int block = (gridX * gridY) - 1; block >= 0; block--)
            {
                try
                {
                    steps += new Block(this, kernel, block, threads, kernel.StaticShared + dynamicShared).Run(registers);
                }
                catch (EmulationException e)
                {
                    throw new EmulationException($"{kernel.Name}, block {block % gridX}, {block / gridX}: {e.Message}");
                }
            }
        }
        finally
        {
            foreach (ulong* memory in registers)
            {
                NativeMemory.AlignedFree(memory);
            }
        }

        return steps;
    }
}

/// <summary>One block of a launch.</summary>
internal sealed unsafe class Block(Launch launch, Kernel kernel, int number, int threads, int sharedBytes)
{
    public Launch Launch => launch;

    public int Number => number;

    public int X => number % launch.GridX;

    public int Y => number / launch.GridX;

    public int Threads => threads;

    public SharedSpace Shared { get; } = new(sharedBytes);

    public long Run(ulong*[] registers)
    {
        var warps = new Warp[threads / 32];
        for (int warp = 0; warp < warps.Length; warp++)
        {
            warps[warp] = new Warp(kernel, this, warp, registers[warp]);
        }

        while (true)
        {
            foreach (Warp warp in warps)
            {
                if (!warp.Done)
                {
                    warp.Run();
                }
            }

            int waiting = warps.Count(warp => warp.AtBarrier);
            if (waiting == 0)
            {
                return warps.Sum(warp => warp.Steps);
            }

            if (waiting != warps.Length)
            {
                throw new EmulationException($"{waiting} of {warps.Length} warps wait at a barrier; the others have ended");
            }

            Shared.Epoch++;
            foreach (Warp warp in warps)
            {
                warp.Release();
            }
        }
    }
}
