using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

/// <summary>A checkpoint whose quantised weights are decoded to F32: the truth that a quantised model is held against.</summary>
internal sealed unsafe class WidenedTensors(ITensorSource source) : ITensorSource
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
            stored.Format.Decode((byte*)stored.RowAddress(row), stored.Columns, (float*)block.Address + ((long)row * stored.Columns));
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
