using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

/// <summary>A checkpoint whose quantised weights are decoded to F32: the truth that a quantised model is held against.</summary>
/// <param name="rounded">Decoded weights are rounded to BF16, which F32 holds exactly.</param>
internal sealed unsafe class WidenedTensors(ITensorSource source, bool rounded) : ITensorSource
{
    private readonly Dictionary<nint, NativeMemoryBlock> _blocks = [];

    public IEnumerable<string> Names => source.Names;

    public bool Contains(string name) => source.Contains(name);

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape)
    {
        _ = source.FormatOf(name, shape);
        return DenseFormat.F32;
    }

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape)
    {
        StoredTensor stored = source.Read(name, shape);
        var block = new NativeMemoryBlock((long)stored.Rows * stored.Columns * sizeof(float));
        for (int row = 0; row < stored.Rows; row++)
        {
            float* values = (float*)block.Address + ((long)row * stored.Columns);
            stored.Format.Decode((byte*)stored.RowAddress(row), stored.Columns, values);
            for (int i = 0; rounded && i < stored.Columns && stored.Format is QuantisedFormat; i++)
            {
                values[i] = Scalar.FromBFloat16(Scalar.ToBFloat16(values[i]));
            }

            for (int i = 0; i < stored.Columns; i++)
            {
                values[i] *= stored.Scale;
            }
        }

        source.Release(stored);
        _blocks.Add(block.Address, block);
        return new StoredTensor(DenseFormat.F32, stored.Rows, stored.Columns, block.Address);
    }

    public void Release(StoredTensor tensor)
    {
        if (_blocks.Remove(tensor.Data, out NativeMemoryBlock? block))
        {
            block.Dispose();
        }
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock block in _blocks.Values)
        {
            block.Dispose();
        }

        source.Dispose();
    }
}
