using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Decoding.Drafters;

/// <summary>
/// Free samples of a draft model, for the n-gram that is to predict it. Sequences are sampled side by side, one
/// row each of the same passes; that changes no sequence, because no row depends on its neighbours.
/// </summary>
public sealed class DraftSampler : ISampleSource, IDisposable
{
    private const int Together = 32;

    private readonly Transformer _model;
    private readonly KvCache _cache;
    private readonly ForwardBatch _batch;
    private readonly DecisionBatch _decision;
    private readonly int[] _slots;
    private readonly int[][] _group = new int[Together][];
    private readonly int _start;
    private readonly int _length;
    private readonly float _temperature;
    private (ulong Seed, int Group)? _held;

    /// <param name="start">The token that a text begins with.</param>
    /// <param name="length">Tokens of a sample, the first included.</param>
    public DraftSampler(LanguageModel model, int start, int length, float temperature)
    {
        _model = model.Transformer;
        _start = start;
        _length = Math.Min(length, _model.Config.ContextLength);
        _temperature = temperature;
        Description = $"{model.Name}, {_length} tokens from {start}, T = {temperature}";
        _cache = _model.CreateCache(Together * _length);
        _batch = new ForwardBatch(Together, _length);
        _decision = new DecisionBatch(Together, 1, 1);
        _slots = new int[_length];
    }

    public string Description { get; }

    public int[] Sample(ulong seed, int index)
    {
        int group = index / Together;
        if (_held != (seed, group))
        {
            SampleGroup(seed, group);
            _held = (seed, group);
        }

        return _group[index % Together];
    }

    public void Dispose() => _cache.Dispose();

    private void SampleGroup(ulong seed, int group)
    {
        for (int s = 0; s < Together; s++)
        {
            _group[s] = new int[_length];
            _group[s][0] = _start;
        }

        _decision.Params = DecisionParams.Greedy with { Temperature = _temperature, Seed = seed, Choice = (uint)group };
        _decision.Rows = Together;
        Array.Fill(_decision.Given, -1);
        for (int t = 0; t < _length - 1; t++)
        {
            _batch.Clear();
            for (int s = 0; s < Together; s++)
            {
                // Each sequence is a branch of its own below an empty prefix.
                for (int i = 0; i < t; i++)
                {
                    _slots[i] = (s * _length) + i;
                }

                _batch.Add(_group[s][t], (s * _length) + t, 0, _slots.AsSpan(0, t));
                _decision.Positions[s] = (s * _length) + t;
            }

            Tensor logits = _model.Forward(_batch, _cache);
            _model.Kernels.Decide(logits, _decision);
            for (int s = 0; s < Together; s++)
            {
                _group[s][t + 1] = _decision.Tokens[s];
            }
        }
    }
}
