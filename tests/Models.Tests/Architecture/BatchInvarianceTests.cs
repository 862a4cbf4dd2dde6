using System.Runtime.InteropServices;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Architecture;

/// <summary>A row's logits are the same bits whatever rides along, wherever its keys and values lie, on every kernel set.</summary>
public class BatchInvarianceTests
{
    private const string Quantised = "quantised ";

    private static readonly string[] _models = ["gpt2", "llama-bf16", "llama-dynamic", "mistral-window", "qwen2-bias", "qwen2-f16",
        "qwen3-norm", "gpt2:64x2:300:200", "llama:128x2:300:200"];

    /// <summary>Kernel set, model (a fixture or a random one) and type of keys and values.</summary>
    public static TheoryData<string, string, CacheType> Cases
    {
        get
        {
            var data = new TheoryData<string, string, CacheType>();
            foreach (KernelSet set in KernelCatalog.Available)
            {
                foreach (string model in _models)
                {
                    data.Add(set.Name, model, CacheType.F32);
                    data.Add(set.Name, model, CacheType.BF16);
                    data.Add(set.Name, model, CacheType.Q8);
                }
            }

            data.Add(KernelCatalog.Available[0].Name, "llama-bf16", CacheType.F16);
            // Every quantised type by the best set, and a mix of the common ones by each.
            foreach (QuantisedFormat format in RandomQuantised.All)
            {
                data.Add(KernelCatalog.Available[0].Name, Quantised + format.Name, CacheType.BF16);
            }

            foreach (KernelSet set in KernelCatalog.Available.Where(set => set.Name != "reference"))
            {
                data.Add(set.Name, Quantised + "mixed", CacheType.F32);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Decoding_one_by_one_and_prefill_in_chunks_of_any_size_give_the_same_bits(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        int[] tokens = Tokens(model, model.Config.ContextLength, 1);
        float[][] expected = model.Logits(tokens, 1);
        foreach (int chunk in (int[])[2, 3, 7, 8, 16, 17, 64, 256])
        {
            AssertSameBits(expected, model.Logits(tokens, chunk), $"chunks of {chunk}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Any_number_of_threads_gives_the_same_bits(string kernelSet, string name, CacheType cacheType)
    {
        float[][]? expected = null;
        foreach (int threads in (int[])[1, 2, 3])
        {
            using IKernels kernels = KernelCatalog.Create(kernelSet, threads);
            using Transformer model = Load(name, kernels, cacheType);
            int[] tokens = Tokens(model, 50, 2);
            float[][] logits = [.. model.Logits(tokens, 50), .. model.Logits(tokens, 5), .. model.Logits(tokens, 1)];
            AssertSameBits(expected ??= logits, logits, $"{threads} threads");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Rows_before_the_first_wanted_one_fill_the_cache_and_nothing_else(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        int[] tokens = Tokens(model, 30, 3);
        float[][] expected = model.Logits(tokens);
        foreach (int first in (int[])[29, 30, 13])
        {
            using KvCache cache = model.CreateCache(tokens.Length + 1);
            var batch = new ForwardBatch(model.MaxRows, 1);
            for (int i = 0; i < tokens.Length; i++)
            {
                batch.Add(tokens[i], i);
            }

            batch.FirstLogitsRow = first;
            Tensor logits = model.Forward(batch, cache);
            Assert.Equal(tokens.Length - first, logits.Rows);
            AssertSameBits(expected[first..], [.. Enumerable.Range(0, logits.Rows).Select(r => logits.Floats(r).ToArray())],
                $"from row {first} on");
            AssertSameBits(model.Logits([.. tokens, 5])[^1..], model.Logits(cache, [5], 1, tokens.Length), "the next token");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Garbage_in_unused_slots_is_never_read(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        int[] tokens = Tokens(model, 37, 4);
        foreach (int chunk in (int[])[1, 5, 37])
        {
            using KvCache cache = model.CreateCache(tokens.Length);
            FillWithNaN(cache);
            AssertSameBits(model.Logits(tokens), model.Logits(cache, tokens, chunk), $"chunks of {chunk}");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_copied_prefix_goes_on_with_the_same_bits(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        int[] tokens = Tokens(model, 45, 5);
        float[][] expected = model.Logits(tokens);
        using KvCache whole = model.CreateCache(45);
        model.Logits(whole, tokens, 45);
        foreach (int count in (int[])[1, 15, 16, 17, 44])
        {
            using KvCache copy = model.CreateCache(60 + count);
            FillWithNaN(copy);
            copy.CopyFrom(whole, count);
            AssertSameBits(expected[count..], model.Logits(copy, tokens.AsSpan(count), 7, count), $"{count} tokens copied");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_node_of_a_tree_gets_the_bits_of_its_path_as_a_plain_sequence(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        foreach (int seed in (int[])[1, 2, 3])
        {
            var random = new Random(seed);
            int prefix = random.Next(1, 34);
            int[] tokens = Tokens(model, prefix, seed);
            using KvCache cache = model.CreateCache(prefix);
            FillWithNaN(cache);
            model.Logits(cache, tokens, 8);
            int[] slots = [.. Enumerable.Range(prefix, cache.Slots - prefix)];
            random.Shuffle(slots);
            var tree = new RandomTree(model, random, prefix, nodes: 24, slots);
            tree.Forward(model, cache, random);
            tree.AssertLogitsAreThoseOfPaths(model, tokens);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_accepted_path_moved_into_place_goes_on_like_plain_text(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        var random = new Random(7);
        int[] text = Tokens(model, 9, 6);
        using KvCache cache = model.CreateCache(64);
        FillWithNaN(cache);
        model.Logits(cache, text, 9);
        for (int round = 0; round < 4; round++)
        {
            // Slots ascend down every path but leave gaps.
            int[] slots = [.. Enumerable.Range(text.Length, cache.Slots - text.Length).Where(_ => random.Next(3) > 0)];
            var tree = new RandomTree(model, random, text.Length, nodes: 16, slots);
            tree.Forward(model, cache, random);
            int[] path = tree.Path(random.Next(16));
            cache.MoveSlots(Array.ConvertAll(path, node => tree.Slots[node]), text.Length);
            text = [.. text, .. path.Select(node => tree.Tokens[node])];
            AssertSameBits(model.Logits([.. text, 1])[^1..], model.Logits(cache, [1], 1, text.Length), $"round {round}");
        }
    }

    /// <summary>Text grows in chunks and by accepted paths, is cut back, and moves to another cache: nothing of that shows.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Whatever_became_of_a_cache_its_text_goes_on_with_the_same_bits(string kernelSet, string name, CacheType cacheType)
    {
        using IKernels kernels = KernelCatalog.Create(kernelSet);
        using Transformer model = Load(name, kernels, cacheType);
        for (int seed = 0; seed < 3; seed++)
        {
            var random = new Random(seed);
            KvCache cache = model.CreateCache(60, 40);
            FillWithNaN(cache);
            int[] text = [];
            for (int step = 0; step < 8; step++)
            {
                switch (text.Length is 0 ? 0 : text.Length > 40 ? 2 : random.Next(4))
                {
                    case 0:
                        int[] more = Tokens(model, random.Next(1, 12), random.Next());
                        model.Logits(cache, more, random.Next(1, 5), text.Length);
                        text = [.. text, .. more];
                        break;
                    case 1:
                        int[] slots = [.. Enumerable.Range(text.Length, 38).Where(_ => random.Next(3) > 0)];
                        var tree = new RandomTree(model, random, text.Length, nodes: 12, slots);
                        tree.Forward(model, cache, random);
                        int[] path = tree.Path(random.Next(12));
                        cache.MoveSlots(Array.ConvertAll(path, node => tree.Slots[node]), text.Length);
                        text = [.. text, .. path.Select(node => tree.Tokens[node])];
                        break;
                    case 2:
                        text = text[..random.Next(1, text.Length)];
                        break;
                    default:
                        KvCache other = model.CreateCache(60, random.Next(40, 80));
                        FillWithNaN(other);
                        other.CopyFrom(cache, text.Length);
                        cache.Dispose();
                        cache = other;
                        break;
                }
            }

            AssertSameBits(model.Logits([.. text, 7])[^1..], model.Logits(cache, [7], 1, text.Length), $"history {seed}");
            cache.Dispose();
        }
    }

    private static Transformer Load(string name, IKernels kernels, CacheType cacheType) =>
        name == Quantised + "mixed"
            ? RandomQuantised.Model(kernels, cacheType,
                [.. RandomQuantised.All.Where(format => format.Name is "Q4_K" or "Q6_K" or "Q8_0" or "Q4_1" or "Q5_0")])
        : name.StartsWith(Quantised, StringComparison.Ordinal)
        ? RandomQuantised.Model(kernels, cacheType, RandomQuantised.All.Single(format => name == Quantised + format.Name))
        : name.Contains(':', StringComparison.Ordinal) ? ModelLoader.Random(name, kernels, 11, new LoadOptions(CacheType: cacheType))
        : Golden.Read(name).Load(kernels, cacheType);

    private static int[] Tokens(Transformer model, int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(model.Config.VocabularySize))];
    }

    /// <summary>All bits set is NaN in every type.</summary>
    private static unsafe void FillWithNaN(KvCache cache)
    {
        foreach (KvLayer layer in cache.Layers)
        {
            long bytes = new KvShape(layer.KvHeads, layer.HeadDim).Bytes(layer.Type, layer.Slots);
            new Span<byte>((void*)layer.Keys, (int)bytes).Fill(0xFF);
            new Span<byte>((void*)layer.Values, (int)bytes).Fill(0xFF);
        }
    }

    private static void AssertSameBits(float[][] expected, float[][] actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int p = 0; p < expected.Length; p++)
        {
            Assert.True(
                MemoryMarshal.Cast<float, uint>(expected[p]).SequenceEqual(MemoryMarshal.Cast<float, uint>(actual[p])),
                $"{what}: the logits of row {p} differ");
        }
    }

    /// <summary>A random tree below a prefix; nodes in an order in which parents come first.</summary>
    private sealed class RandomTree
    {
        private readonly int _prefix;
        private readonly int[] _parents;
        private readonly float[][] _logits;

        public RandomTree(Transformer model, Random random, int prefix, int nodes, int[] slots)
        {
            _prefix = prefix;
            _parents = [.. Enumerable.Range(0, nodes).Select(node => random.Next(Math.Max(-1, node - 6), node))];
            Tokens = [.. Enumerable.Range(0, nodes).Select(_ => random.Next(model.Config.VocabularySize))];
            Slots = slots[..nodes];
            _logits = new float[nodes][];
        }

        public int[] Tokens { get; }

        public int[] Slots { get; }

        /// <summary>Nodes from the root's child down to <paramref name="node"/>.</summary>
        public int[] Path(int node) => _parents[node] < 0 ? [node] : [.. Path(_parents[node]), node];

        /// <summary>Runs the nodes in a few batches; a parent is in the same batch as its child or in one before.</summary>
        public void Forward(Transformer model, KvCache cache, Random random)
        {
            var batch = new ForwardBatch(model.MaxRows, Tokens.Length + 1);
            for (int first = 0, end; first < Tokens.Length; first = end)
            {
                end = Math.Min(Tokens.Length, first + random.Next(1, 20));
                batch.Clear();
                for (int node = first; node < end; node++)
                {
                    int[] ancestors = Path(node)[..^1];
                    batch.Add(Tokens[node], Slots[node], _prefix, Array.ConvertAll(ancestors, ancestor => Slots[ancestor]));
                }

                Tensor logits = model.Forward(batch, cache);
                for (int node = first; node < end; node++)
                {
                    _logits[node] = logits.Floats(node - first).ToArray();
                }
            }
        }

        public void AssertLogitsAreThoseOfPaths(Transformer model, int[] prefix)
        {
            for (int node = 0; node < Tokens.Length; node++)
            {
                int[] path = Path(node);
                float[][] plain = model.Logits([.. prefix, .. path.Select(step => Tokens[step])]);
                AssertSameBits(plain[^1..], [_logits[node]], $"node {node} at depth {path.Length}");
            }
        }
    }
}
