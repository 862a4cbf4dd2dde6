using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>The begin of a draft head's stream (see <see cref="HeadPlan"/>), and the room for the states that it is made of.</summary>
internal sealed class HeadInput : IDisposable
{
    private readonly IKernels _kernels;
    private readonly HeadPlan _plan;
    private readonly HeadWeights _weights;
    private readonly MemoryBlock _block;
    private readonly int _hidden;

    /// <summary>F32 <c>[rows, 2 hidden]</c>: embedding and state, side by side.</summary>
    private readonly Tensor _pairs;

    /// <summary>F32 <c>[rows, StateSize]</c>: the states of the model's layers; empty where none is read.</summary>
    private readonly Tensor _wide;
    private readonly ProductInput _joined;
    private readonly ProductInput? _states;

    /// <summary>Leading rows whose states are the model's.</summary>
    private int _given;

    public HeadInput(ModelConfig config, Weights weights, IKernels kernels, int rows)
    {
        (_kernels, _plan, _weights, _hidden) = (kernels, config.Head!, weights.HeadWeights!, config.HiddenSize);
        int pair = 2 * _hidden;
        int wide = _plan.ReadsLayers ? _plan.StateSize(_hidden) : 0;
        _block = kernels.Allocate((long)(pair + wide) * rows * sizeof(float));
        _pairs = _block.View(DType.F32, rows, pair, pair);
        _wide = _block.View(DType.F32, rows, wide, wide, (long)pair * rows * sizeof(float));
        WeightMatrix[] projection = _weights.Projection.Parts;
        _joined = kernels.CreateInput(rows, pair, Activations.Formats(_plan.ReadsLayers ? weights.Layers[0].Qkv.Parts : projection));
        _states = _plan.ReadsLayers ? kernels.CreateInput(rows, wide, Activations.Formats(projection)) : null;
    }

    /// <summary>
    /// The state of a row of the next pass. Rows that have one of the model's come before those that have one of the head's.
    /// </summary>
    /// <param name="own">It is the head's.</param>
    /// <param name="x">The residual stream.</param>
    public void Write(int row, ReadOnlySpan<float> state, bool own, Tensor x)
    {
        _given = own ? Math.Min(_given, row) : row + 1;
        Tensor room = !_plan.ReadsLayers ? _pairs.ColumnRange(_hidden, _hidden) : own ? x : _wide;
        _kernels.Write(state, room.RowRange(row, 1).Data);
    }

    /// <summary>Makes the stream of a pass.</summary>
    public void Begin(WeightMatrix embedding, ForwardBatch batch, Tensor x)
    {
        Tensor pairs = _pairs.RowRange(0, x.Rows);
        Tensor tokens = pairs.ColumnRange(0, _hidden);
        Tensor states = pairs.ColumnRange(_hidden, _hidden);
        _kernels.Embed(embedding, positions: null, batch, tokens);
        if (_plan.ReadsLayers)
        {
            int given = Math.Min(_given, x.Rows);
            if (given > 0)
            {
                InputRows wide = _states!.Rows(0, given);
                _kernels.Take(_wide.RowRange(0, given), wide);
                _kernels.Multiply(wide, _weights.Projection, x.RowRange(0, given));
            }

            for (int row = 0; row < x.Rows; row++)
            {
                _kernels.Copy(x.RowRange(row, 1).Data, states.RowRange(row, 1).Data, (long)_hidden * sizeof(float));
            }
        }

        _kernels.Normalize(tokens, _weights.EmbeddingNorm);
        _kernels.Normalize(states, _weights.StateNorm);
        _kernels.Take(pairs, _joined.Rows(0, x.Rows));
        if (!_plan.ReadsLayers)
        {
            _kernels.Multiply(Joined(x.Rows), _weights.Projection, x);
        }
    }

    /// <summary>The normed pairs of the pass.</summary>
    public InputRows Joined(int rows) => _joined.Rows(0, rows);

    public void Dispose()
    {
        _joined.Dispose();
        _states?.Dispose();
        _block.Dispose();
    }
}

/// <summary>The states that enter some layers, of the rows that a pass keeps.</summary>
/// <param name="layers">Ascending; the number of the model's layers is behind the last one.</param>
internal sealed class LayerStates(IKernels kernels, IReadOnlyList<int> layers, int rows, int hidden) : IDisposable
{
    private readonly ProductInput[] _rows = [.. layers.Select(_ => kernels.CreateInput(rows, hidden, []))];

    public IReadOnlyList<int> Layers => layers;

    /// <summary>The stream stands before a layer.</summary>
    /// <param name="kept">Rows that are kept, the last ones.</param>
    public void Take(int layer, Tensor x, int kept)
    {
        for (int i = 0; i < _rows.Length && kept > 0; i++)
        {
            if (layers[i] == layer)
            {
                kernels.Take(x.RowRange(x.Rows - kept, kept), _rows[i].Rows(0, kept));
            }
        }
    }

    /// <summary>The states of a kept row, side by side.</summary>
    public void Read(int row, Span<float> state)
    {
        for (int i = 0; i < _rows.Length; i++)
        {
            kernels.Read(_rows[i].Rows(row, 1), state.Slice(i * hidden, hidden));
        }
    }

    public void Dispose() => Array.ForEach(_rows, rows => rows.Dispose());
}
