using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tests.Architecture;

namespace Understory.Peer;

/// <summary>A file loaded by this repository's code, as the server loads it.</summary>
internal sealed class UnderstoryEngine : IEngine
{
    private readonly IKernels _kernels;
    private readonly Transformer _model;
    private readonly KvCache _cache;
    private readonly ForwardBatch _batch;
    private Tensor _logits;

    private UnderstoryEngine(string name, IKernels kernels, Transformer model, int context)
    {
        Name = name;
        _kernels = kernels;
        _model = model;
        _cache = model.CreateCache(context);
        _batch = new ForwardBatch(model.MaxRows, 1);
    }

    public string Name { get; }

    public int Vocabulary => _model.Config.VocabularySize;

    public long WeightBytes => _model.WeightBytes;

    public static UnderstoryEngine Load(string path, int context)
    {
        IKernels kernels = KernelCatalog.Create();
        Transformer model = ModelLoader.LoadTransformer(path, kernels, new LoadOptions(context));
        return new UnderstoryEngine($"ours ({kernels.Name})", kernels, model, context);
    }

    /// <summary>The truth that both are held against: weights decoded to F32, all arithmetic, keys and values in F32.</summary>
    public static UnderstoryEngine Widened(string path, int context)
    {
        IKernels kernels = KernelCatalog.Create();
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using var tensors = new WidenedTensors(checkpoint.Tensors, rounded: false);
        ModelConfig config = checkpoint.Config.WithContext(context).Validated();
        var model = new Transformer(config, Weights.Load(config, tensors, checkpoint.Names, kernels), kernels, CacheType.F32);
        return new UnderstoryEngine("F32", kernels, model, context);
    }

    public void Forward(ReadOnlySpan<int> tokens, int start, bool allLogits)
    {
        for (int first = 0; first < tokens.Length; first += _batch.MaxRows)
        {
            ReadOnlySpan<int> chunk = tokens.Slice(first, Math.Min(_batch.MaxRows, tokens.Length - first));
            _batch.Clear();
            for (int row = 0; row < chunk.Length; row++)
            {
                _batch.Add(chunk[row], start + first + row);
            }

            _batch.FirstLogitsRow = allLogits ? 0 : first + chunk.Length < tokens.Length ? chunk.Length : chunk.Length - 1;
            _logits = _model.Forward(_batch, _cache);
        }
    }

    public void ReadLogits(int row, Span<float> logits) => _kernels.Read(_logits.RowRange(row, 1).Data, logits);

    public void Dispose()
    {
        _cache.Dispose();
        _model.Dispose();
        _kernels.Dispose();
    }
}
