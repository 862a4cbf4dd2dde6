using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using static Understory.Gpu.ProductChecks;

namespace Understory.Gpu;

/// <summary>Attention against the reference, by the cache's type and the shape of heads, over sequences and trees.</summary>
internal static class AttentionChecks
{
    /// <summary>Heads, heads of keys and values, dimensions, window.</summary>
    private readonly record struct Shape(int Heads, int KvHeads, int HeadDim, int Window = 0);

    public static Check[] All { get; } =
    [
        .. from type in (DType[])[DType.BF16, DType.F16]
           from shape in (Shape[])[new(20, 20, 64), new(32, 8, 128), new(4, 2, 40, 21)]
           select new Check($"attend_{Name(type)}_{shape.HeadDim}", run => Attend(run, type, shape)),
        .. from type in (DType[])[DType.BF16, DType.F16, DType.F32]
           let first = type == DType.F32 ? new Shape(4, 2, 64) : new Shape(3, 1, 20)
           select new Check($"attend_{Name(type)}_any", run => Attend(run, type, first, new(4, 2, 17, 5))),
        .. from type in (DType[])[DType.BF16, DType.F16]
           select new Check($"attend_{Name(type)}_rows", run => TogetherRows(run, type)),
    ];

    private static string Name(DType type) => type switch { DType.BF16 => "bf16", DType.F16 => "f16", _ => "f32" };

    private static void Attend(CheckRun run, DType type, params Shape[] shapes)
    {
        CudaKernels kernels = run.Open();
        foreach (Shape full in shapes)
        {
            // On an emulated device as many heads as it takes to have groups.
            Shape shape = run.Size(full, full with { Heads = Math.Min(2, full.Heads), KvHeads = 1 });
            foreach (int prefix in run.Size<int[]>([0, 1, 16, 137, 900], [0, 1, 37]))
            {
                Tree(run, kernels, type, shape, prefix);
            }
        }
    }

    /// <summary>A prefix, then nine levels of two nodes, one of them with its own half of the path.</summary>
    private static void Tree(CheckRun run, CudaKernels kernels, DType type, Shape shape, int prefix)
    {
        using var pair = new Pair(kernels, prefix + shape.HeadDim);
        Cache cache = pair.Cache(type, shape.KvHeads, shape.HeadDim, 960);
        int columns = (shape.Heads + (2 * shape.KvHeads)) * shape.HeadDim;
        (RotaryParams host, RotaryParams device) = shape.HeadDim % 4 == 0 ? RowChecks.Rotary(pair, shape.HeadDim) : default;
        var batch = new ForwardBatch(1024, 40);
        Pair.Fill(batch, 0, prefix);
        if (prefix > 0)
        {
            pair.Store(pair.Uniform(prefix, columns), shape.Heads, host, device, cache, batch);
        }

        batch.Clear();
        List<int> left = [];
        for (int depth = 0; depth < 9; depth++)
        {
            int slot = prefix + (3 * depth) + 1;
            batch.Add(0, slot, prefix, [.. left]);
            batch.Add(0, slot + 1, prefix, [.. left.Take(depth / 2)]);
            left.Add(slot);
        }

        Operand qkv = pair.Uniform(batch.Count, columns);
        pair.Store(qkv, shape.Heads, host, device, cache, batch);
        Operand y = pair.Room(batch.Count, shape.Heads * shape.HeadDim);
        var attention = new AttentionParams(shape.Heads, shape.KvHeads, shape.HeadDim, 1 / MathF.Sqrt(shape.HeadDim), shape.Window);
        pair.Attend(qkv.Columns(0, shape.Heads * shape.HeadDim), cache, attention, batch, y);
        // A key between two numbers of the cache's type may be rounded either way behind the norm's last bit.
        ExpectNear(run, pair, y, type == DType.F32 ? 1e-5 : 4e-3, $"{type}, {shape}, prefix {prefix}");
    }

    /// <summary>Rows of a wide plain pass read keys and values together: the bits of narrow passes, and the reference's numbers.</summary>
    private static void TogetherRows(CheckRun run, DType type)
    {
        CudaKernels kernels = run.Open();
        foreach ((Shape shape, int prefix, int rows) in run.Size<(Shape, int, int)[]>(
            [(new(20, 20, 64), 0, 256), (new(32, 8, 128), 100, 300), (new(4, 2, 40, 30), 5, 70)], [(new(2, 1, 40, 30), 5, 70)]))
        {
            using var pair = new Pair(kernels, rows);
            Cache cache = pair.Cache(type, shape.KvHeads, shape.HeadDim, 512);
            int columns = (shape.Heads + (2 * shape.KvHeads)) * shape.HeadDim;
            int queries = shape.Heads * shape.HeadDim;
            var batch = new ForwardBatch(512, 1);
            Operand qkv = pair.Uniform(prefix + rows, columns);
            Pair.Fill(batch, 0, prefix + rows);
            pair.Store(qkv, shape.Heads, default, default, cache, batch);
            var attention = new AttentionParams(shape.Heads, shape.KvHeads, shape.HeadDim, 1 / MathF.Sqrt(shape.HeadDim), shape.Window);
            (Operand wide, Operand narrow) = (pair.Room(rows, queries), pair.Room(rows, queries));
            Pair.Fill(batch, prefix, rows);
            run.Driver!.Clear();
            pair.Attend(qkv.Rows(prefix, rows).Columns(0, queries), cache, attention, batch, wide);
            bool together = run.Driver.Kernels.Any(name => name.EndsWith("_rows", StringComparison.Ordinal));
            run.Expect(together, $"{rows} rows ran {string.Join(", ", run.Driver.Kernels)}");
            ExpectNear(run, pair, wide, 1e-5, $"{type}, {shape}, {rows} rows behind {prefix}");
            for (int first = 0; first < rows; first += 35)
            {
                int count = Math.Min(35, rows - first);
                Pair.Fill(batch, prefix + first, count);
                Operand some = qkv.Rows(prefix + first, count).Columns(0, queries);
                pair.AttendOnDevice(some, cache, attention, batch, narrow.Rows(first, count));
            }

            ExpectBits(run, pair.Download(narrow), pair.Download(wide), $"{type}, {shape}, {rows} rows against 35");
        }
    }
}
