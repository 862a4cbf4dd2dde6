using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu.Recurrence;

/// <summary>What the nodes of a walk are between the steps of a recurrent layer: F32, grown to the largest pass.</summary>
internal sealed unsafe class RecurrentScratch(int threads) : IDisposable
{
    private NativeMemoryBlock? _nodes;
    private NativeMemoryBlock? _states;
    private RecurrentShape _shape;
    private int _buffers;

    /// <summary>Room for so many nodes and copies of a block of a state for each thread.</summary>
    public void Reach(in RecurrentShape shape, int nodes, int buffers)
    {
        _shape = shape;
        _buffers = buffers;
        Grow(ref _nodes, (long)nodes * NodeStride);
        Grow(ref _states, (long)threads * buffers * BlockSize);
    }

    /// <summary>
    /// A node's queries, keys and values; the outputs take the places of the values. Behind them beta and what is left of the state, of
    /// each value head.
    /// </summary>
    public float* Node(int node) => (float*)_nodes!.Address + ((long)node * NodeStride);

    /// <summary>A copy of a block of a state, from buffer 1 on.</summary>
    public float* Buffer(int worker, int buffer) => (float*)_states!.Address + ((((long)worker * _buffers) + buffer - 1) * BlockSize);

    public void Dispose()
    {
        _nodes?.Dispose();
        _states?.Dispose();
    }

    private int NodeStride => _shape.RowSize;

    private int BlockSize => _shape.KeyDim * RecurrentShape.Block;

    private static void Grow(ref NativeMemoryBlock? block, long floats)
    {
        if (block is null || block.Bytes < floats * sizeof(float))
        {
            block?.Dispose();
            block = new NativeMemoryBlock(Math.Max(1, floats) * sizeof(float));
        }
    }
}
