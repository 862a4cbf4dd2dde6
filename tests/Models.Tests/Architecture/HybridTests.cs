using Understory.Models.Architecture;
using Understory.Models.Architecture.Families;
using Understory.Models.Kernels;

namespace Understory.Models.Tests.Architecture;

/// <summary>What a cache of a model with recurrent layers remembers, and what it refuses.</summary>
public sealed class HybridTests : IDisposable
{
    private const int Most = 16;

    private static readonly int[] _tokens = [.. Enumerable.Range(0, 60).Select(i => (i * 37) % 200)];

    private readonly IKernels _kernels = KernelCatalog.Create(threads: 2);
    private readonly Transformer _model;

    public HybridTests() => _model = ModelLoader.Random(new Qwen35().OfShape(64, 4, 200, 120), "hybrid", _kernels, 5);

    [Fact]
    public void Old_memories_are_thinned_and_each_that_is_left_goes_on_with_the_same_bits()
    {
        float[][] expected = _model.Logits(_tokens, 60);
        using KvCache cache = _model.CreateCache(80);
        for (int i = 0; i < _tokens.Length; i++)
        {
            _model.Logits(cache, _tokens.AsSpan(i, 1), 1, i);
            cache.Remember();
        }

        // The last is always there, what is long ago only here and there.
        int[] left = [.. Enumerable.Range(1, _tokens.Length).Where(i => cache.Restorable(i) == i)];
        Assert.Equal(Most, left.Length);
        Assert.Equal([58, 59, 60], left[^3..]);
        Assert.True(left[0] < 30);
        foreach (int place in left.SkipLast(1).Reverse())
        {
            cache.Truncate(place);
            Assert.Equal(place, cache.Restorable(place));
            float[] next = _model.Logits(cache, _tokens.AsSpan(place, 1), 1, place)[0];
            Assert.True(Kernels.Arena.SameBits(expected[place], next), $"behind {place} tokens");
        }
    }

    [Fact]
    public void A_pass_that_does_not_follow_what_is_held_is_refused_and_text_may_begin_anew()
    {
        float[][] expected = _model.Logits(_tokens, 60);
        using KvCache cache = _model.CreateCache(80);
        _model.Logits(cache, _tokens.AsSpan(0, 30), 30);
        foreach (int start in (int[])[29, 31, 5])
        {
            ArgumentException error = Assert.Throws<ArgumentException>(() => _model.Logits(cache, [1], 1, start));
            Assert.Contains("behind 30 tokens", error.Message, StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentException>(() => cache.Truncate(12));
        Assert.Equal(0, cache.Restorable(29));
        float[][] again = _model.Logits(cache, _tokens, 9);
        Assert.True(Enumerable.Range(0, 60).All(i => Kernels.Arena.SameBits(expected[i], again[i])));
    }

    [Fact]
    public void A_model_without_recurrent_layers_goes_back_anywhere_and_remembers_nothing()
    {
        using Transformer model = ModelLoader.Random(new Llama().OfShape(64, 2, 200, 120), "llama", _kernels, 5);
        using KvCache cache = model.CreateCache(80);
        Assert.Equal(17, cache.Restorable(17));
        Assert.Equal(int.MaxValue, cache.NextMemory(5000));
        using KvCache hybrid = _model.CreateCache(80);
        Assert.Equal(6144, hybrid.NextMemory(5000));
        Assert.True(hybrid.BytesFor(40) > _model.Config.StateBytes);
    }

    public void Dispose()
    {
        _model.Dispose();
        _kernels.Dispose();
    }
}
