using System.Runtime.InteropServices;
using Understory.Models.Architecture;
using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Architecture;

/// <summary>
/// A model that exists nowhere, whose matrices are random blocks of quantised types; vectors are those of <see cref="RandomTensors"/>.
/// </summary>
/// <param name="types">Each matrix has the next one of these.</param>
internal sealed unsafe class RandomQuantised(params QuantisedFormat[] types) : ITensorSource
{
    private readonly RandomTensors _vectors = new(5);
    private readonly Dictionary<string, QuantisedFormat> _formats = [];
    private readonly Dictionary<nint, NativeMemoryBlock> _blocks = [];

    public IEnumerable<string> Names => [];

    /// <summary>Every quantised type of GGUF.</summary>
    public static QuantisedFormat[] All { get; } = [.. GgufTypes.All.Values.OfType<QuantisedFormat>()];

    /// <summary>A Llama of two layers, 256 wide.</summary>
    public static Transformer Model(IKernels kernels, CacheType cacheType, params QuantisedFormat[] types)
    {
        ModelConfig config = new Models.Architecture.Families.Llama().OfShape(256, 2, 96, 80);
        config = config with
        {
            TiedHead = false,
            Layers = [.. config.Layers.Select(layer => layer with
            {
                Attention = layer.Attention with { Heads = 4, KvHeads = 2 },
                Mlp = layer.Mlp with { Width = 512 },
            })],
        };
        using var source = new RandomQuantised(types);
        return new Transformer(config, Weights.Load(config, source, config.Family.HuggingFaceNames, kernels), kernels, cacheType);
    }

    public bool Contains(string name) => true;

    public WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape)
    {
        if (shape.Length == 1)
        {
            return _vectors.FormatOf(name, shape);
        }

        if (!_formats.TryGetValue(name, out QuantisedFormat? format))
        {
            _formats[name] = format = types[_formats.Count % types.Length];
        }

        return format;
    }

    public StoredTensor Read(string name, params ReadOnlySpan<int> shape)
    {
        if (shape.Length == 1)
        {
            return _vectors.Read(name, shape);
        }

        WeightFormat format = FormatOf(name, shape);
        byte[] bytes = QuantisedModel.Blocks(format, shape[0] * shape[1], name.Length + shape[0]);
        var block = new NativeMemoryBlock(bytes.Length);
        Marshal.Copy(bytes, 0, block.Address, bytes.Length);
        _blocks.Add(block.Address, block);
        return new StoredTensor(format, shape[0], shape[1], block.Address);
    }

    public void Release(StoredTensor tensor)
    {
        if (_blocks.Remove(tensor.Data, out NativeMemoryBlock? block))
        {
            block.Dispose();
        }
        else
        {
            _vectors.Release(tensor);
        }
    }

    public void Dispose()
    {
        foreach (NativeMemoryBlock block in _blocks.Values)
        {
            block.Dispose();
        }

        _vectors.Dispose();
    }
}
