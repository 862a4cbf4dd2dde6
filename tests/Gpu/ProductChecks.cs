using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;

namespace Understory.Gpu;

/// <summary>Each kind of matrix product: against the reference, and every width with the bits of every other.</summary>
internal static class ProductChecks
{
    private const double Tolerance = 1e-4;
    private const double RoundedTolerance = 5e-3;

    private static readonly int[] _narrow = [64, 1, 2, 7, 8, 9, 16, 17, 24, 32, 33, 48];

    public static Check[] All { get; } =
    [
        new("product_f32", run => Narrow(run, DType.F32)),
        new("product_bf16", run => Narrow(run, DType.BF16)),
        new("product_f16", run => Narrow(run, DType.F16)),
        new("product_transposed_residual", Residual),
        new("gated_f32", run => Gated(run, DType.F32)),
        new("gated_bf16", run => Gated(run, DType.BF16)),
        new("gated_f16", run => Gated(run, DType.F16)),
        new("normed_product_bf16", run => Normed(run, DType.BF16)),
        new("normed_product_f16", run => Normed(run, DType.F16)),
        new("wide_product_bf16", run => Wide(run, DType.BF16)),
        new("wide_product_f16", run => Wide(run, DType.F16)),
        new("convert", Convert),
    ];

    /// <summary>Says what was wanted, what came, and of which kernels.</summary>
    public static void ExpectNear(CheckRun run, Pair pair, Operand y, double tolerance, string what)
    {
        double difference = pair.Difference(y);
        run.Expect(difference < tolerance, $"{what}: max |a - b| / max |b| is {difference:E2}, {tolerance:E0} allowed ({Kernels(run)})");
    }

    public static void ExpectBits(CheckRun run, float[][] expected, float[][] actual, string what)
    {
        int row = Pair.FirstOther(expected, actual);
        run.Expect(row < 0, $"{what}: row {row} has other bits ({Kernels(run)})");
    }

    /// <summary>The sizes were chosen for this kernel: another one would go unchecked.</summary>
    public static void ExpectRan(CheckRun run, string kernel, string what) =>
        run.Expect(run.Driver!.Kernels.Contains(kernel), $"{what} ran {string.Join(", ", run.Driver.Kernels)}, not {kernel}");

    public static string Kernels(CheckRun run) => run.Driver is { } driver ? string.Join(", ", driver.Last.TakeLast(2)) : "";

    private static void Narrow(CheckRun run, DType type)
    {
        CudaKernels kernels = run.Open();
        (int, int)[] large = [(3840, 1280), (5120, 1280), (1280, 5120), (77, 2048), (33, 300)];
        (int, int)[] shapes = type == DType.F32 ? [(1280, 640), (77, 300)] : large;
        foreach ((int outputs, int inputs) in run.Size(shapes, [(40, 64), (150, 33)]))
        {
            using var pair = new Pair(kernels, outputs);
            Weights weights = pair.Matrix(type, outputs, inputs);
            Operand x = pair.Uniform(_narrow.Max(), inputs, rounded: type);
            Operand bias = pair.Uniform(1, outputs);
            Operand y = pair.Room(_narrow.Max(), outputs);
            pair.MultiplyOnHost(weights, x, y, bias, gelu: true);
            float[][]? widest = null;
            foreach (int rows in _narrow)
            {
                pair.Poison(y);
                pair.MultiplyOnDevice(weights, x.Rows(0, rows), y.Rows(0, rows), bias, gelu: true);
                ExpectNear(run, pair, y.Rows(0, rows), Tolerance, $"{type} {outputs} x {inputs}, {rows} rows");
                float[][] actual = pair.Download(y.Rows(0, rows));
                ExpectBits(run, widest ??= actual, actual, $"{type} {outputs} x {inputs}, {rows} rows against {_narrow[0]}");
            }
        }
    }

    private static void Residual(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        (int outputs, int inputs) = run.Size((1280, 640), (45, 50));
        foreach (DType type in (DType[])[DType.BF16, DType.F16, DType.F32])
        {
            using var pair = new Pair(kernels, 5);
            Weights weights = pair.Matrix(type, outputs, inputs, transposed: true);
            foreach (int rows in (int[])[1, 9, 40])
            {
                Operand x = pair.Uniform(rows, inputs, rounded: type);
                Operand y = pair.Uniform(rows, outputs);
                pair.Multiply(weights, x, y, add: true);
                ExpectNear(run, pair, y, Tolerance, $"{type}, {rows} rows");
            }
        }
    }

    private static void Gated(CheckRun run, DType type)
    {
        CudaKernels kernels = run.Open();
        (int outputs, int inputs) = run.Size((1408, 1024), (45, 50));
        using var pair = new Pair(kernels, 6);
        Weights gate = pair.Matrix(type, outputs, inputs);
        Weights up = pair.Matrix(type, outputs, inputs);
        Operand x = pair.Uniform(_narrow.Max(), inputs, rounded: type);
        Operand y = pair.Room(_narrow.Max(), outputs);
        pair.GatedOnHost(gate, up, x, y);
        float[][]? widest = null;
        foreach (int rows in _narrow)
        {
            pair.Poison(y);
            pair.GatedOnDevice(gate, up, x.Rows(0, rows), y.Rows(0, rows));
            ExpectNear(run, pair, y.Rows(0, rows), Tolerance, $"{type}, {rows} rows");
            float[][] actual = pair.Download(y.Rows(0, rows));
            ExpectBits(run, widest ??= actual, actual, $"{type}, {rows} rows against {_narrow[0]}");
        }
    }

    /// <summary>Within a pass of at most eight rows a product norms on the way in: the bits of a norm and a product.</summary>
    private static void Normed(CheckRun run, DType type)
    {
        CudaKernels kernels = run.Open(record: false);
        foreach ((int outputs, int inputs) in run.Size<(int, int)[]>([(3840, 1280), (1000, 2048)], [(40, 64)]))
        {
            using var pair = new Pair(kernels, inputs);
            Weights weights = pair.Matrix(type, outputs, inputs);
            Weights up = pair.Matrix(type, outputs, inputs);
            (Operand weight, Operand bias) = (pair.Uniform(1, inputs), pair.Uniform(1, inputs));
            Operand x = pair.Uniform(8, inputs);
            Operand exact = pair.Room(8, inputs);
            Cache cache = pair.Cache(type, 1, 64, 16);
            ProductInput normed = pair.Inputs(type, 8, inputs);
            ProductInput gatedRows = pair.Inputs(DType.F32, 8, outputs);
            Norm norm = Pair.LayerNorm(weight, bias);
            (Operand y, Operand gated) = (pair.Room(8, outputs), pair.Room(8, outputs));

            // As the reference does it, and as two kernels do it.
            pair.Norm(x, weight, bias, 1e-5f, exact);
            Operand rounded = pair.Rounded(exact, type);
            pair.MultiplyOnHost(weights, rounded, y);
            pair.GatedOnHost(weights, up, rounded, gated);
            pair.NormOnDevice(x, norm, normed.Rows(0, 8));
            pair.MultiplyOnDevice(weights, normed.Rows(0, 8), y);
            pair.GatedOnDevice(weights, up, normed.Rows(0, 8), gatedRows.Rows(0, 8));
            ExpectNear(run, pair, y, RoundedTolerance, $"{type}, norm and product");
            (float[][] separate, float[][] separateGated) = (pair.Download(y), pair.Download(gatedRows.Rows(0, 8)));
            pair.GatedOnDevice(weights, up, rounded, gated);
            ExpectNear(run, pair, gated, RoundedTolerance, $"{type}, norm and gated product");
            for (int rows = 1; rows <= 8; rows++)
            {
                pair.Poison(y);
                var batch = new ForwardBatch(8, 1);
                Pair.Fill(batch, 0, rows);
                var source = new ProductSource(x.Rows(0, rows).Device, norm, normed);
                pair.Pass(weights, batch, cache, () => pair.MultiplyOnDevice(weights, source, y.Rows(0, rows)));
                pair.Pass(up, batch, cache, () => pair.GatedOnDevice(weights, up, source, gatedRows.Rows(0, rows)));
                string what = $"{type} {outputs} x {inputs}, {rows} rows against a norm and a product";
                ExpectBits(run, separate, pair.Download(y.Rows(0, rows)), what);
                ExpectBits(run, separateGated, pair.Download(gatedRows.Rows(0, rows)), $"gated {what}");
            }
        }

        foreach (int tiles in (int[])[1, 2])
        {
            ExpectRan(run, $"product_{(type == DType.BF16 ? "bf16" : "f16")}_normed_{tiles}", "a norm and a product");
        }
    }

    private static void Wide(CheckRun run, DType type)
    {
        CudaKernels kernels = run.Open();
        foreach ((int outputs, int inputs, int rows, string kernel) in run.Size<(int, int, int, string)[]>(
            [(3840, 1280, 1024, "_8"), (5120, 1280, 128, "_4"), (1280, 5120, 448, "_4"), (50257, 640, 65, "_8")],
            [(300, 40, 70, "_8"), (100, 31, 129, "_4")]))
        {
            const int Compared = 24;
            using var pair = new Pair(kernels, outputs);
            Weights weights = pair.Matrix(type, outputs, inputs);
            Operand x = pair.Uniform(rows, inputs, rounded: type);
            Operand bias = pair.Uniform(1, outputs);
            (Operand y, Operand narrow) = (pair.Room(rows, outputs), pair.Room(rows, outputs));
            pair.MultiplyOnHost(weights, x.Rows(rows - Compared, Compared), y.Rows(rows - Compared, Compared), bias);
            run.Driver!.Clear();
            pair.MultiplyOnDevice(weights, x, y, bias);
            ExpectWide(run, type, kernel, $"{outputs} x {inputs} at {rows} rows");
            ExpectNear(run, pair, y.Rows(rows - Compared, Compared), Tolerance, $"{type} {outputs} x {inputs}, {rows} rows");
            float[][] wide = pair.Download(y);
            for (int first = 0; first < rows; first += 64)
            {
                int count = Math.Min(64, rows - first);
                pair.MultiplyOnDevice(weights, x.Rows(first, count), narrow.Rows(first, count), bias);
            }

            ExpectBits(run, pair.Download(narrow), wide, $"{type} {outputs} x {inputs}, {rows} rows against 64");
        }

        GatedWide(run, kernels, type);
    }

    private static void GatedWide(CheckRun run, CudaKernels kernels, DType type)
    {
        foreach ((int outputs, int inputs, int rows, string kernel) in run.Size<(int, int, int, string)[]>(
            [(5504, 1024, 300, "_8"), (1408, 1024, 300, "_4")], [(130, 40, 70, "_8"), (100, 40, 70, "_4")]))
        {
            const int Compared = 16;
            using var pair = new Pair(kernels, outputs);
            Weights gate = pair.Matrix(type, outputs, inputs);
            Weights up = pair.Matrix(type, outputs, inputs);
            Operand x = pair.Uniform(rows, inputs, rounded: type);
            (Operand y, Operand narrow) = (pair.Room(rows, outputs), pair.Room(rows, outputs));
            run.Driver!.Clear();
            pair.GatedOnDevice(gate, up, x, y);
            ExpectWide(run, type, kernel, $"gated {outputs} x {inputs} at {rows} rows");
            for (int first = 0; first < rows; first += 64)
            {
                int count = Math.Min(64, rows - first);
                pair.GatedOnDevice(gate, up, x.Rows(first, count), narrow.Rows(first, count));
            }

            ExpectBits(run, pair.Download(narrow), pair.Download(y), $"{type} gated, {rows} rows against 64");
            pair.GatedOnHost(gate, up, x.Rows(0, Compared), y.Rows(0, Compared));
            ExpectNear(run, pair, y.Rows(0, Compared), Tolerance, $"{type} gated, {rows} rows");
        }
    }

    /// <summary>The sizes were chosen for a device of so many multiprocessors.</summary>
    private static void ExpectWide(CheckRun run, DType type, string kernel, string what)
    {
        const int Emulated = 4;
        const int Hopper = 132;
        if (run.Driver!.Device.Multiprocessors is Emulated or Hopper)
        {
            ExpectRan(run, $"tiles_{(type == DType.BF16 ? "bf16" : "f16")}{kernel}", what);
        }
    }

    /// <summary>F32 inputs are rounded to the weights' type on the way: as the host rounds them, ties to even.</summary>
    private static void Convert(CheckRun run)
    {
        CudaKernels kernels = run.Open();
        foreach (DType type in (DType[])[DType.BF16, DType.F16])
        {
            using var pair = new Pair(kernels, 7);
            (int outputs, int inputs) = run.Size((640, 1000), (24, 37));
            Weights weights = pair.Matrix(type, outputs, inputs);
            foreach (int rows in (int[])[1, 9, 70])
            {
                Operand x = pair.Uniform(rows, inputs, scale: 3);
                Operand rounded = pair.Rounded(x, type);
                (Operand y, Operand z) = (pair.Room(rows, outputs), pair.Room(rows, outputs));
                pair.MultiplyOnDevice(weights, x, y);
                pair.Multiply(weights, rounded, z);
                ExpectBits(run, pair.Download(z), pair.Download(y), $"{type}, {rows} rows, rounded by the device against by the host");
                ExpectNear(run, pair, z, Tolerance, $"{type}, {rows} rows");
            }
        }
    }
}
