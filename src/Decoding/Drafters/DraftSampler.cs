using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>Free samples of a draft model, for the n-gram that is to predict it.</summary>
public sealed class DraftSampler : ISampleSource, IDisposable
{
    private readonly Transformer _model;
    private readonly KvCache _cache;
    private readonly ForwardBatch _batch = new(1, 1);
    private readonly DecisionBatch _decision = new(1, 1, 1);
    private readonly int _start;
    private readonly int _length;
    private readonly float _temperature;

    /// <param name="start">The token that a text begins with.</param>
    /// <param name="length">Tokens of a sample, the first included.</param>
    public DraftSampler(LanguageModel model, int start, int length, float temperature)
    {
        _model = model.Transformer;
        _start = start;
        _length = Math.Min(length, _model.Config.ContextLength);
        _temperature = temperature;
        Description = $"{model.Name}, {_length} tokens from {start}, T = {temperature}";
        _cache = _model.CreateCache(_length);
        _decision.Rows = 1;
        _decision.Given[0] = -1;
    }

    public string Description { get; }

    public int[] Sample(ulong seed, int index)
    {
        int[] tokens = new int[_length];
        tokens[0] = _start;
        _decision.Params = DecisionParams.Greedy with { Temperature = _temperature, Seed = seed, Choice = (uint)index };
        for (int position = 0; position < _length - 1; position++)
        {
            _batch.Clear();
            _batch.Add(tokens[position], position);
            Tensor logits = _model.Forward(_batch, _cache);
            _decision.Positions[0] = position + 1;
            _model.Kernels.Decide(logits, _decision);
            tokens[position + 1] = _decision.Tokens[0];
        }

        return tokens;
    }

    public void Dispose() => _cache.Dispose();
}
