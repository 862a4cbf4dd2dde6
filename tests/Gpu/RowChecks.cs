using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using static Understory.Gpu.ProductChecks;

namespace Understory.Gpu;

/// <summary>What works on single rows: norms, the embedding, keys and values on their way into the cache and within it.</summary>
internal static class RowChecks
{
    public static Check[] All { get; } =
    [
        new("norm", Norms),
        new("embed", Embedding),
        new("store", Store),
        new("fused_store", FusedStore),
        new("move_and_copy_slots", MoveAndCopy),
    ];

    private static void Norms(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        foreach (int columns in run.Size<int[]>([1, 31, 100, 768, 1280, 4096, 14336], [1, 31, 100, 768]))
        {
            using var pair = new Pair(kernels, columns);
            Operand x = pair.Uniform(37, columns, scale: 2);
            (Operand weight, Operand bias) = (pair.Uniform(1, columns), pair.Uniform(1, columns));
            Operand y = pair.Room(37, columns);
            pair.Norm(x, weight, bias, 1e-5f, y);
            ExpectNear(run, pair, y, 1e-5, $"LayerNorm of {columns}");
            pair.Poison(y);
            pair.Norm(x, weight, null, 1e-5f, y);
            ExpectNear(run, pair, y, 1e-5, $"RMSNorm of {columns}");
        }
    }

    private static void Embedding(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        (int vocabulary, int columns) = run.Size((5003, 1280), (71, 35));
        foreach (DType type in (DType[])[DType.BF16, DType.F16, DType.F32])
        {
            using var pair = new Pair(kernels, 8);
            Weights table = pair.Matrix(type, vocabulary, columns);
            Weights positions = pair.Matrix(type, 64, columns);
            var batch = new ForwardBatch(64, 1);
            for (int row = 0; row < 64; row++)
            {
                batch.Add(pair.Random.Next(vocabulary), 63 - row);
            }

            Operand y = pair.Room(64, columns);
            foreach (Weights? added in (Weights?[])[null, positions])
            {
                pair.Poison(y);
                pair.Embed(table, added, batch, y);
                ExpectBits(run, Rows(y.Host), pair.Download(y), $"{type}, positions {(added is null ? "none" : "added")}");
            }
        }
    }

    /// <summary>Queries are turned in place; a row that sees its own slot alone reads its value back.</summary>
    private static void Store(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        foreach (DType type in (DType[])[DType.BF16, DType.F16, DType.F32])
        {
            foreach ((int heads, int kvHeads, int headDim) in (ReadOnlySpan<(int, int, int)>)[(4, 2, 64), (8, 2, 128), (3, 1, 20)])
            {
                const int Count = 21;
                using var pair = new Pair(kernels, headDim);
                Cache cache = pair.Cache(type, kvHeads, headDim, 64);
                Operand qkv = pair.Uniform(Count, (heads + (2 * kvHeads)) * headDim);
                var batch = new ForwardBatch(Count, 1);
                Pair.Fill(batch, 7, Count);
                (RotaryParams host, RotaryParams device) = Rotary(pair, headDim);
                pair.Store(qkv, heads, host, device, cache, batch);
                ExpectNear(run, pair, qkv, 1e-5, $"{type}, heads of {headDim}: turned queries and keys");
                ExpectOwnValues(run, pair, qkv, cache, heads, batch, $"{type}, heads of {headDim}");
            }
        }
    }

    /// <summary>Within a pass the product itself stores keys and values: what a product and a store leave.</summary>
    private static void FusedStore(CheckRun run)
    {
        CudaKernels kernels = run.Open(record: false);
        foreach (DType type in (DType[])[DType.BF16, DType.F16])
        {
            (int heads, int kvHeads, int headDim, int inputs) = run.Size((20, 20, 64, 1280), (4, 2, 32, 96));
            using var pair = new Pair(kernels, 11);
            int outputs = (heads + (2 * kvHeads)) * headDim;
            Weights weights = pair.Matrix(type, outputs, inputs);
            foreach (int rows in (int[])[1, 8, 21, 64])
            {
                (Cache fused, Cache separate) = (pair.Cache(type, kvHeads, headDim, 96), pair.Cache(type, kvHeads, headDim, 96));
                Operand x = pair.Uniform(rows, inputs, rounded: type);
                (Operand qkv, Operand expected) = (pair.Room(rows, outputs), pair.Room(rows, outputs));
                var batch = new ForwardBatch(rows, 1);
                Pair.Fill(batch, 0, rows);
                InputRows inputRows = pair.Inputs(type, x);
                run.Driver!.Clear();
                pair.Pass(weights, batch, fused, () => pair.MultiplyStoreOnDevice(weights, inputRows, qkv, heads, fused, batch));
                run.Expect(!run.Driver.Kernels.Contains("store"), $"{type}, {rows} rows: the store was a kernel of its own");
                pair.Multiply(weights, x, expected);
                pair.Store(expected, heads, default, default, separate, batch);
                Operand queries = pair.Uniform(rows, heads * headDim);
                (Operand y, Operand z) = (pair.Room(rows, heads * headDim), pair.Room(rows, heads * headDim));
                var attention = new AttentionParams(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), 0);
                pair.Attend(queries, separate, attention, batch, z);
                pair.AttendOnDevice(queries, fused, attention, batch, y);
                ExpectBits(run, pair.Download(z), pair.Download(y), $"{type}, {rows} rows: attention over what the product stored");
                ExpectNear(run, pair, z, type == DType.BF16 ? 1e-2 : 2e-3, $"{type}, {rows} rows: attention over what was stored");
            }
        }
    }

    private static void MoveAndCopy(CheckRun run)
    {
        const int Heads = 2;
        const int HeadDim = 64;
        const int Slots = 96;
        CudaKernels kernels = run.Open();
        foreach (DType type in (DType[])[DType.BF16, DType.F16, DType.F32])
        {
            using var pair = new Pair(kernels, 12);
            (Cache cache, Cache copy) = (pair.Cache(type, Heads, HeadDim, Slots), pair.Cache(type, Heads, HeadDim, Slots + 32));
            Operand qkv = pair.Uniform(Slots, 3 * Heads * HeadDim);
            var batch = new ForwardBatch(Slots, 1);
            Pair.Fill(batch, 0, Slots);
            pair.Store(qkv, Heads, default, default, cache, batch);
            pair.MoveSlots(cache, [20, 23, 24, 41, 90], to: 20);
            pair.CopySlots(cache, copy, 25);
            Operand queries = pair.Uniform(25, Heads * HeadDim);
            Operand y = pair.Room(25, Heads * HeadDim);
            var attention = new AttentionParams(Heads, Heads, HeadDim, 0.125f, 0);
            Pair.Fill(batch, 0, 25);
            foreach ((Cache from, string what) in (ReadOnlySpan<(Cache, string)>)[(cache, "moved"), (copy, "copied")])
            {
                pair.Poison(y);
                pair.Attend(queries, from, attention, batch, y);
                ExpectNear(run, pair, y, 1e-5, $"{type}: attention over {what} slots");
            }
        }
    }

    /// <summary>Turns half of a head and norms queries and keys.</summary>
    public static (RotaryParams Host, RotaryParams Device) Rotary(Pair pair, int headDim)
    {
        int pairs = headDim / 4;
        (Operand cosine, Operand sine) = (pair.Uniform(2048, pairs), pair.Uniform(2048, pairs));
        (Operand query, Operand key) = (pair.Uniform(1, headDim), pair.Uniform(1, headDim));
        return (
            new(cosine.Host, sine.Host, pairs * 2, query.Host, key.Host, 1e-6f),
            new(cosine.Device, sine.Device, pairs * 2, query.Device, key.Device, 1e-6f));
    }

    private static void ExpectOwnValues(CheckRun run, Pair pair, Operand qkv, Cache cache, int heads, ForwardBatch stored, string what)
    {
        KvLayer layer = cache.Device;
        var own = new ForwardBatch(stored.Count, 1);
        for (int row = 0; row < stored.Count; row++)
        {
            own.Add(0, stored.Slots[row], 0, []);
        }

        Operand y = pair.Room(stored.Count, heads * layer.HeadDim);
        pair.Attend(qkv.Columns(0, heads * layer.HeadDim), cache, new AttentionParams(heads, layer.KvHeads, layer.HeadDim, 1, 0), own, y);
        ExpectBits(run, Rows(y.Host), pair.Download(y), $"{what}: values read back");
    }

    private static float[][] Rows(Tensor host) => [.. Enumerable.Range(0, host.Rows).Select(row => host.Floats(row).ToArray())];
}
