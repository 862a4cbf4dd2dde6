using Understory.Models.Kernels;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

public class AttentionTests
{
    public static TheoryData<string, CacheType> SetsAndTypes
    {
        get
        {
            TheoryData<string, CacheType> data = [];
            foreach (string set in Arena.FastNames)
            {
                data.Add(set, CacheType.BF16);
                data.Add(set, CacheType.F16);
                data.Add(set, CacheType.F32);
                data.Add(set, CacheType.Q8);
            }

            return data;
        }
    }

    /// <summary>Heads, key-value heads, head size, window.</summary>
    private static readonly (int Heads, int KvHeads, int HeadDim, int Window)[] Shapes =
    [
        (2, 2, 64, 0), (4, 2, 32, 0), (3, 1, 20, 0), (2, 1, 48, 21), (6, 2, 17, 5), (2, 2, 16, 1),
        (5, 1, 8, 0), (2, 1, 40, 0), (9, 3, 80, 30), (7, 1, 128, 0),
    ];

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void Attention_is_the_reference_s_for_sequences_and_trees(string set, CacheType type)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach ((int heads, int kvHeads, int headDim, int window) in Shapes)
        {
            foreach (int prefix in (int[])[0, 1, 15, 16, 17, 40, 100])
            {
                using Arena arena = new(prefix + headDim);
                KvLayer layer = arena.Cache(type, kvHeads, headDim, 192);
                ForwardBatch batch = Grow(kernels, arena, layer, heads, prefix, out Tensor queries);
                AttentionParams attention = new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
                Tensor output = arena.Zeros(batch.Count, heads * headDim);
                Tensor expected = arena.Zeros(batch.Count, heads * headDim);
                kernels.Attend(queries, layer, attention, batch, output);
                reference.Attend(queries, layer, attention, batch, expected);
                double difference = Arena.Difference(output, expected);
                Assert.True(difference < 3e-6, $"{heads} heads of {headDim}, window {window}, prefix {prefix}: {difference}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void A_path_gives_the_same_bits_as_tree_and_as_sequence_alone_and_together_on_any_threads(string set, CacheType type)
    {
        foreach ((int heads, int kvHeads, int headDim, int window) in Shapes)
        {
            const int Prefix = 37;
            const int Path = 25;
            using Arena arena = new(headDim);
            int columns = (heads + (2 * kvHeads)) * headDim;
            Tensor prompt = arena.Normal(Prefix, columns);
            Tensor path = arena.Normal(Path, columns);
            AttentionParams attention = new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
            Tensor expected = arena.Zeros(Path, heads * headDim);
            using (IKernels kernels = KernelCatalog.Create(set, 1))
            {
                // One by one, as a plain sequence.
                KvLayer layer = arena.Cache(type, kvHeads, headDim, 160);
                Store(kernels, layer, heads, arena.Copy(prompt), 0, 0);
                for (int i = 0; i < Path; i++)
                {
                    Tensor row = arena.Copy(path.RowRange(i, 1));
                    Store(kernels, layer, heads, row, Prefix + i, Prefix + i);
                    ForwardBatch one = new(1, 1);
                    one.Add(0, Prefix + i);
                    kernels.Attend(row.ColumnRange(0, heads * headDim), layer, attention, one, expected.RowRange(i, 1));
                }
            }

            foreach (int threads in (int[])[1, 2, 3])
            {
                // All at once, as a branch whose slots run backwards through another branch's.
                using IKernels kernels = KernelCatalog.Create(set, threads);
                KvLayer layer = arena.Cache(type, kvHeads, headDim, 160);
                Store(kernels, layer, heads, arena.Copy(prompt), 0, 0);
                ForwardBatch batch = new(2 * Path, Path + 1);
                Tensor rows = arena.Normal(2 * Path, columns);
                List<int> slots = [];
                for (int i = 0; i < Path; i++)
                {
                    int slot = Prefix + (2 * (Path - i));
                    batch.Add(0, slot, Prefix, [.. slots]);
                    path.Floats(i).CopyTo(rows.Floats(2 * i));
                    slots.Add(slot);
                    batch.Add(0, slot + 1, Prefix, [.. slots[..^1]]);
                }

                kernels.StoreKeysValues(rows, heads, default, layer, batch);
                Tensor output = arena.Zeros(2 * Path, heads * headDim);
                kernels.Attend(rows.ColumnRange(0, heads * headDim), layer, attention, batch, output);
                for (int i = 0; i < Path; i++)
                {
                    Assert.True(Arena.SameBits(expected.Floats(i), output.Floats(2 * i)),
                        $"{heads} heads of {headDim}, window {window}, row {i}, {threads} threads");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void Stored_keys_and_values_are_the_reference_s(string set, CacheType type)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using IKernels reference = KernelCatalog.Create("reference");
        foreach (int headDim in (int[])[8, 20, 40, 64, 80, 128])
        {
            using Arena arena = new();
            Tensor qkv = arena.Normal(20, 8 * headDim);
            Tensor expected = arena.Copy(qkv);
            RotaryParams rotary = new(
                arena.Normal(64, headDim / 2), arena.Normal(64, headDim / 2), headDim / 4 * 2 * 2, arena.Normal(1, headDim),
                arena.Normal(1, headDim), 1e-6f);
            rotary = rotary with { RotaryDim = headDim / 4 * 2 };
            ForwardBatch batch = new(20, 1);
            for (int i = 0; i < 20; i++)
            {
                batch.Add(0, i + 7);
            }

            KvLayer layer = arena.Cache(type, 2, headDim, 32);
            KvLayer expectedLayer = arena.Cache(type, 2, headDim, 32);
            kernels.StoreKeysValues(qkv, 4, rotary, layer, batch);
            reference.StoreKeysValues(expected, 4, rotary, expectedLayer, batch);
            Assert.True(Arena.Difference(qkv, expected) < 1e-6);

            // What was stored is what attention reads: one position at a time.
            AttentionParams attention = new(2, 2, headDim, 1, 1);
            Tensor output = arena.Zeros(20, 2 * headDim);
            Tensor expectedOutput = arena.Zeros(20, 2 * headDim);
            reference.Attend(qkv.ColumnRange(0, 2 * headDim), layer, attention, batch, output);
            reference.Attend(qkv.ColumnRange(0, 2 * headDim), expectedLayer, attention, batch, expectedOutput);
            Assert.True(Arena.Difference(output, expectedOutput) < 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndTypes))]
    public void Moved_and_copied_slots_read_like_the_originals(string set, CacheType type)
    {
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using Arena arena = new();
        const int Dims = 40;
        KvLayer layer = arena.Cache(type, 2, Dims, 64);
        Tensor qkv = arena.Normal(50, 6 * Dims);
        Store(kernels, layer, 2, qkv, 0, 0);
        AttentionParams attention = new(2, 2, Dims, 0.2f, 0);
        ForwardBatch scattered = new(1, 60);
        scattered.Add(0, 45, 20, [21, 30, 33]);
        Tensor expected = arena.Zeros(1, 2 * Dims);
        kernels.Attend(qkv.RowRange(0, 1).ColumnRange(0, 2 * Dims), layer, attention, scattered, expected);

        kernels.MoveSlots([layer], [21, 30, 33, 45], 20);
        KvLayer copy = arena.Cache(type, 2, Dims, 48);
        kernels.CopySlots([layer], [copy], 24);
        foreach (KvLayer moved in (KvLayer[])[layer, copy])
        {
            ForwardBatch plain = new(1, 1);
            plain.Add(0, 23);
            Tensor output = arena.Zeros(1, 2 * Dims);
            kernels.Attend(qkv.RowRange(0, 1).ColumnRange(0, 2 * Dims), moved, attention, plain, output);
            Assert.True(Arena.SameBits(expected.Floats(0), output.Floats(0)));
        }
    }

    /// <summary>A prefix, two rows of a sequence behind it, and two branches; every other slot is NaN.</summary>
    private static ForwardBatch Grow(IKernels kernels, Arena arena, KvLayer layer, int heads, int prefix, out Tensor queries)
    {
        int columns = (heads + (2 * layer.KvHeads)) * layer.HeadDim;
        if (prefix > 0)
        {
            Store(kernels, layer, heads, arena.Normal(prefix, columns), 0, 0);
        }

        ForwardBatch batch = new(40, 40);
        List<int> left = [];
        List<int> right = [];
        for (int depth = 0; depth < 18; depth++)
        {
            int slot = prefix + (3 * depth) + 1;
            batch.Add(0, slot, prefix, [.. left]);
            left.Add(slot);
            if (depth is > 2 and < 9)
            {
                batch.Add(0, slot + 1, prefix, [.. right]);
                right.Add(slot + 1);
            }
        }

        queries = arena.Normal(batch.Count, columns);
        kernels.StoreKeysValues(queries, heads, default, layer, batch);
        queries = queries.ColumnRange(0, heads * layer.HeadDim);
        return batch;
    }

    private static void Store(IKernels kernels, KvLayer layer, int heads, Tensor qkv, int position, int slot)
    {
        ForwardBatch batch = new(qkv.Rows, 1);
        for (int i = 0; i < qkv.Rows; i++)
        {
            batch.Add(0, position + i);
            batch.Slots[i] = slot + i;
        }

        kernels.StoreKeysValues(qkv, heads, default, layer, batch);
    }
}
