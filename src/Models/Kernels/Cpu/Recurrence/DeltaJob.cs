using System.Runtime.CompilerServices;
using Understory.Models.Kernels.Cpu.Vectors;

namespace Understory.Models.Kernels.Cpu.Recurrence;

/// <summary>
/// The gated delta rule: an item is sixteen columns of one value head's state, <c>[KeyDim, 16]</c>, which stay in the nearest cache while
/// the walk goes through all rows of the pass.
/// </summary>
internal sealed unsafe class DeltaJob<T> : Job
    where T : unmanaged, ILanes<T>
{
    private const int Lanes = RecurrentShape.Block;

    private RecurrentScratch _scratch = null!;
    private RecurrentLayer _layer;
    private RecurrentWalk _walk = null!;

    public void Set(RecurrentScratch scratch, in RecurrentLayer layer, RecurrentWalk walk) =>
        (_scratch, _layer, _walk) = (scratch, layer, walk);

    public int Items => _layer.Shape.ValueSize / Lanes;

    public long Work => 4L * _walk.Count * _layer.Shape.StateSize;

    public override void Run(int first, int end, int worker)
    {
        RecurrentShape shape = _layer.Shape;
        int size = shape.KeyDim * Lanes;
        int blocks = shape.ValueDim / Lanes;
        for (int item = first; item < end; item++)
        {
            int head = item / blocks;
            int keyHead = shape.KeyHead(head);
            float* state = (float*)_layer.State + ((long)item * size);
            for (int step = 0; step < _walk.Count; step++)
            {
                int node = _walk.Steps[step];
                float* inputs = _scratch.Node(node);
                float* query = inputs + (keyHead * shape.KeyDim);
                float* key = query + (shape.KeyHeads * shape.KeyDim);
                float* value = inputs + shape.QueryKeySize + (item * Lanes);
                float beta = inputs[shape.Channels + head];
                float kept = inputs[shape.Channels + shape.ValueHeads + head];
                float* from = BufferOf(state, _walk.From[step], worker);
                float* to = _walk.To[step] < 0 ? null : BufferOf(state, _walk.To[step], worker);
                Step(from, to, query, key, value, beta, kept, shape.KeyDim);
            }
        }
    }

    private float* BufferOf(float* state, int buffer, int worker) =>
        buffer == RecurrentWalk.State ? state : _scratch.Buffer(worker, buffer);

    /// <summary>
    /// <c>S = kept S; S = S + k (beta (v - S^T k))^T; v = S^T q</c>. Sums over the state's rows are four, of every fourth row, added at the
    /// end; what is stored, or not, changes no bit of them.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Step(
        float* from, float* to, float* query, float* key, float* value, float beta, float kept, int rows)
    {
        T decay = T.Broadcast(kept);
        T read0 = default, read1 = default, read2 = default, read3 = default;
        int row = 0;
        for (; row <= rows - 4; row += 4)
        {
            read0 = T.MultiplyAdd(T.Load(from + (row * Lanes)) * decay, T.Broadcast(key[row]), read0);
            read1 = T.MultiplyAdd(T.Load(from + ((row + 1) * Lanes)) * decay, T.Broadcast(key[row + 1]), read1);
            read2 = T.MultiplyAdd(T.Load(from + ((row + 2) * Lanes)) * decay, T.Broadcast(key[row + 2]), read2);
            read3 = T.MultiplyAdd(T.Load(from + ((row + 3) * Lanes)) * decay, T.Broadcast(key[row + 3]), read3);
        }

        for (; row < rows; row++)
        {
            read0 = T.MultiplyAdd(T.Load(from + (row * Lanes)) * decay, T.Broadcast(key[row]), read0);
        }

        T delta = (T.Load(value) - ((read0 + read1) + (read2 + read3))) * T.Broadcast(beta);
        T sum0 = default, sum1 = default, sum2 = default, sum3 = default;
        row = 0;
        for (; row <= rows - 4; row += 4)
        {
            T state0 = T.MultiplyAdd(T.Broadcast(key[row]), delta, T.Load(from + (row * Lanes)) * decay);
            T state1 = T.MultiplyAdd(T.Broadcast(key[row + 1]), delta, T.Load(from + ((row + 1) * Lanes)) * decay);
            T state2 = T.MultiplyAdd(T.Broadcast(key[row + 2]), delta, T.Load(from + ((row + 2) * Lanes)) * decay);
            T state3 = T.MultiplyAdd(T.Broadcast(key[row + 3]), delta, T.Load(from + ((row + 3) * Lanes)) * decay);
            sum0 = T.MultiplyAdd(state0, T.Broadcast(query[row]), sum0);
            sum1 = T.MultiplyAdd(state1, T.Broadcast(query[row + 1]), sum1);
            sum2 = T.MultiplyAdd(state2, T.Broadcast(query[row + 2]), sum2);
            sum3 = T.MultiplyAdd(state3, T.Broadcast(query[row + 3]), sum3);
            if (to != null)
            {
                state0.Store(to + (row * Lanes));
                state1.Store(to + ((row + 1) * Lanes));
                state2.Store(to + ((row + 2) * Lanes));
                state3.Store(to + ((row + 3) * Lanes));
            }
        }

        for (; row < rows; row++)
        {
            T state = T.MultiplyAdd(T.Broadcast(key[row]), delta, T.Load(from + (row * Lanes)) * decay);
            sum0 = T.MultiplyAdd(state, T.Broadcast(query[row]), sum0);
            if (to != null)
            {
                state.Store(to + (row * Lanes));
            }
        }

        ((sum0 + sum1) + (sum2 + sum3)).Store(value);
    }
}
