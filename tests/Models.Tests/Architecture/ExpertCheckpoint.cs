using System.Runtime.InteropServices;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Architecture;

/// <summary>
/// A model that exists nowhere, with the same random experts in whichever way they are to be kept; all else is random too.
/// </summary>
internal sealed unsafe class ExpertCheckpoint : ITensorSource
{
    private readonly RandomTensors _others = new(5);
    private readonly Dictionary<string, (WeightFormat Format, int[] Shape, NativeMemoryBlock Data)> _experts = [];

    /// <param name="format">Of the experts' matrices.</param>
    public ExpertCheckpoint(ModelConfig config, TensorNames names, WeightFormat format)
    {
        ExpertNames kept = Assert.Single(names.Experts);
        for (int layer = 0; layer < config.Layers.Count; layer++)
        {
            ExpertsPlan plan = config.Layers[layer].Mlp.Experts!;
            string prefix = names.Prefix(layer);
            int hidden = config.HiddenSize;
            byte[][] gate = Matrices(plan, layer, 1, format, plan.Width, hidden);
            byte[][] up = Matrices(plan, layer, 2, format, plan.Width, hidden);
            if (kept.GateUp.Length > 0)
            {
                byte[][] both = [.. gate.Zip(up, (a, b) => kept.Alternating ? InTurn(a, b, plan.Width) : [.. a, .. b])];
                Keep(prefix, kept.GateUp, both, format, 2 * plan.Width, hidden, kept.Transposed);
            }
            else
            {
                Keep(prefix, kept.Gate, gate, format, plan.Width, hidden, kept.Transposed);
                Keep(prefix, kept.Up, up, format, plan.Width, hidden, kept.Transposed);
            }

            Keep(prefix, kept.Down, Matrices(plan, layer, 3, format, hidden, plan.Width), format, hidden, plan.Width, kept.Transposed);
            if (plan.Bias)
            {
                byte[][] gateBias = Biases(plan, layer, 4, plan.Width);
                byte[][] upBias = Biases(plan, layer, 5, plan.Width);
                if (kept.GateUp.Length > 0)
                {
                    Keep(prefix + kept.GateUpBias,
                        gateBias.Zip(upBias, (a, b) => kept.Alternating ? InTurn(a, b, plan.Width) : [.. a, .. b]), plan, 2 * plan.Width);
                }
                else
                {
                    Keep(prefix + kept.GateBias, gateBias, plan, plan.Width);
                    Keep(prefix + kept.UpBias, upBias, plan, plan.Width);
                }

                Keep(prefix + kept.DownBias, Biases(plan, layer, 6, hidden), plan, hidden);
            }
        }
    }

    public IEnumerable<string> Names => _experts.Keys;

    public bool Contains(string name) => _experts.ContainsKey(name) || !name.Contains("exp", StringComparison.Ordinal);

    public bool StaysMapped(string name) => _experts.ContainsKey(name);

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape)
    {
        if (!_experts.TryGetValue(name, out (WeightFormat Format, int[] Shape, NativeMemoryBlock Data) kept))
        {
            return _others.FormatOf(name, shape);
        }

        Assert.Equal(kept.Shape, shape.ToArray());
        return kept.Format;
    }

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape) =>
        _experts.TryGetValue(name, out (WeightFormat Format, int[] Shape, NativeMemoryBlock Data) kept)
            ? new StoredTensor(FormatOf(name, shape), shape.Length > 2 ? shape[0] * shape[1] : shape[0], shape[^1], kept.Data.Address)
            : _others.Read(name, shape);

    public void Release(StoredTensor tensor) => _others.Release(tensor);

    public void Dispose()
    {
        foreach ((_, _, NativeMemoryBlock data) in _experts.Values)
        {
            data.Dispose();
        }

        _others.Dispose();
    }

    private static byte[][] Matrices(ExpertsPlan plan, int layer, int kind, WeightFormat format, int rows, int columns) =>
        [.. Enumerable.Range(0, plan.Count).Select(expert => format is DenseFormat dense
            ? Plain(dense, rows * columns, Seed(layer, kind, expert))
            : QuantisedModel.Blocks(format, rows * columns, Seed(layer, kind, expert)))];

    private static byte[][] Biases(ExpertsPlan plan, int layer, int kind, int length) =>
        [.. Enumerable.Range(0, plan.Count).Select(expert => Plain(DenseFormat.F32, length, Seed(layer, kind, expert)))];

    private static int Seed(int layer, int kind, int expert) => (layer * 1000) + (kind * 100) + expert;

    private static byte[] Plain(DenseFormat format, int count, int seed)
    {
        var random = new Random(seed);
        byte[] bytes = new byte[format.Bytes(count)];
        fixed (byte* data = bytes)
        {
            for (int i = 0; i < count; i++)
            {
                Scalar.Write(format.Type, (nint)data, i, (random.NextSingle() - 0.5f) * 0.4f);
            }
        }

        return bytes;
    }

    /// <summary>A row of the one, a row of the other.</summary>
    private static byte[] InTurn(byte[] a, byte[] b, int rows)
    {
        int size = a.Length / rows;
        return [.. Enumerable.Range(0, rows)
            .SelectMany(row => a.AsSpan(row * size, size).ToArray().Concat(b.AsSpan(row * size, size).ToArray()))];
    }

    private static byte[] Transposed(byte[] matrix, int rows, int columns, int size) =>
        [.. from column in Enumerable.Range(0, columns)
            from row in Enumerable.Range(0, rows)
            from one in Enumerable.Range(0, size)
            select matrix[(((row * columns) + column) * size) + one]];

    private void Keep(string name, IEnumerable<byte[]> rows, ExpertsPlan plan, int length) =>
        Keep(name, DenseFormat.F32, [plan.Count, length], [.. rows.SelectMany(row => row)]);

    private void Keep(string prefix, string name, byte[][] matrices, WeightFormat format, int rows, int columns, bool transposed)
    {
        int[] shape = transposed ? [columns, rows] : [rows, columns];
        byte[][] kept = transposed ? [.. matrices.Select(matrix => Transposed(matrix, rows, columns, format.BlockBytes))] : matrices;
        if (ExpertNames.IsOfAll(name))
        {
            Keep(prefix + name, format, [matrices.Length, .. shape], [.. kept.SelectMany(matrix => matrix)]);
            return;
        }

        for (int expert = 0; expert < matrices.Length; expert++)
        {
            Keep(prefix + ExpertNames.Of(name, expert), format, shape, kept[expert]);
        }
    }

    private void Keep(string name, WeightFormat format, int[] shape, byte[] bytes)
    {
        var data = new NativeMemoryBlock(bytes.Length);
        Marshal.Copy(bytes, 0, data.Address, bytes.Length);
        _experts.Add(name, (format, shape, data));
    }
}
