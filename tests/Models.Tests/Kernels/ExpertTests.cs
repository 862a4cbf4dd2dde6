using System.Runtime.InteropServices;
using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats.Quantised;

namespace Understory.Models.Tests.Kernels;

/// <summary>Products over rows gathered by expert, against the reference and against each row alone.</summary>
public class ExpertTests
{
    private const int Experts = 7;
    private const int Used = 3;

    public static TheoryData<string> Sets => Arena.FastSets;

    public static TheoryData<string, string> SetsAndFormats
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string set in Arena.FastNames)
            {
                foreach (string format in (string[])["F32", "BF16", "F16", "Q4_K", "Q8_0", "MXFP4", "Q6_K", "IQ4_XS", "mixed"])
                {
                    data.Add(set, format);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndFormats))]
    public void Experts_give_what_the_reference_gives(string set, string format)
    {
        foreach ((int width, int rows) in ((int, int)[])[(20, 1), (64, 2), (33, 5), (16, 70)])
        {
            foreach (GatedUnit unit in (GatedUnit[])[new(Activation.Silu), new(Activation.GeluTanh), new(Activation.Silu, 1.702f, 0.5f)])
            {
                using var arena = new Arena(width + rows);
                using var block = new Block(arena, format, width);
                Tensor x = arena.Normal(rows, Block.Hidden);
                using IKernels kernels = KernelCatalog.Create(set, 2);
                using IKernels reference = KernelCatalog.Create("reference");
                Tensor expected = block.Run(reference, x, unit);
                Tensor actual = block.Run(kernels, x, unit);
                // An input that is not rounded alike moves to the next of 127 steps.
                double limit = block.Quantised ? 2e-2 : 5e-6;
                Assert.True(Arena.Difference(actual, expected) < limit, $"{width}, {rows} rows: {Arena.Difference(actual, expected):E2}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(SetsAndFormats))]
    public void A_row_has_the_bits_that_it_has_alone(string set, string format)
    {
        using var arena = new Arena(9);
        using var block = new Block(arena, format, 40);
        Tensor x = arena.Normal(130, Block.Hidden);
        using IKernels one = KernelCatalog.Create(set, 1);
        using IKernels several = KernelCatalog.Create(set, 3);
        var unit = new GatedUnit(Activation.Silu);
        Tensor together = block.Run(several, x, unit);
        for (int row = 0; row < x.Rows; row += 7)
        {
            Tensor alone = block.Run(one, x.RowRange(row, 1), unit);
            Assert.True(Arena.SameBits(alone.Floats(0), together.Floats(row)), $"row {row} differs");
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void The_sum_runs_over_experts_in_ascending_order(string set)
    {
        using var arena = new Arena(4);
        using IKernels kernels = KernelCatalog.Create(set, 2);
        Tensor logits = arena.Normal(9, Experts);
        var routing = new Routing(9, Experts, Used);
        kernels.Route(logits, new RouterParams(Used, RouterScore.Softmax, true), routing);
        Tensor x = arena.Normal(routing.Places, 37);
        Tensor y = arena.Zeros(9, 37);
        kernels.SumExperts(x, routing, y);
        for (int row = 0; row < 9; row++)
        {
            for (int i = 0; i < 37; i++)
            {
                float sum = 0;
                for (int pair = row * Used; pair < (row + 1) * Used; pair++)
                {
                    sum = MathF.FusedMultiplyAdd(routing.Weights[pair], x.Floats(routing.PlaceOf[pair])[i], sum);
                }

                Assert.Equal(sum, y.Floats(row)[i]);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void A_gate_weighs_what_is_added(string set)
    {
        using var arena = new Arena(6);
        using IKernels kernels = KernelCatalog.Create(set, 2);
        (Tensor x, Tensor gate, Tensor y) = (arena.Normal(5, 37), arena.Normal(5, 1), arena.Normal(5, 37));
        (Tensor gated, Tensor scaled) = (arena.Copy(y), arena.Copy(y));
        kernels.Add(x, gate, 2, gated);
        kernels.Add(x, default, 0.3f, scaled);
        for (int row = 0; row < 5; row++)
        {
            for (int i = 0; i < 37; i++)
            {
                double factor = 2 / (1 + Math.Exp(-gate.Floats(row)[0]));
                Assert.Equal(y.Floats(row)[i] + (factor * x.Floats(row)[i]), gated.Floats(row)[i], 1e-5);
                Assert.Equal(y.Floats(row)[i] + (0.3 * x.Floats(row)[i]), scaled.Floats(row)[i], 1e-5);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Sets))]
    public void Once_warm_experts_allocate_nothing(string set)
    {
        using var arena = new Arena(8);
        using IKernels kernels = KernelCatalog.Create(set, 2);
        using var block = new Block(arena, "Q4_K", 40);
        Tensor x = arena.Normal(6, Block.Hidden);
        using Block.Room room = block.Place(kernels, x);
        room.Run(new GatedUnit(Activation.Silu));
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5; i++)
        {
            room.Run(new GatedUnit(Activation.Silu));
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    /// <summary>Random experts with biases, packed by whichever kernels run them.</summary>
    private sealed unsafe class Block : IDisposable
    {
        /// <summary>Of whole blocks of every type.</summary>
        public const int Hidden = 256;

        private readonly Arena _arena;
        private readonly WeightFormat[] _formats;
        private readonly int _width;

        /// <summary>Rounded up: what down reads.</summary>
        private readonly int _inner;

        private readonly Tensor _router;
        private readonly Tensor[] _biases;
        private readonly List<NativeMemoryBlock> _blocks = [];

        public Block(Arena arena, string format, int width)
        {
            _arena = arena;
            _formats = format switch
            {
                "mixed" => [Named("Q4_K"), DenseFormat.BF16, Named("Q8_0"), DenseFormat.F32],
                _ => [Named(format)],
            };
            Quantised = _formats.Any(one => one is QuantisedFormat);
            _inner = Quantised ? 256 : width;
            _width = width;
            _router = arena.RawWeights(DType.F32, Experts, Hidden);
            _biases = [arena.Normal(Experts, Quantised ? _inner : width), arena.Normal(Experts, Quantised ? _inner : width),
                arena.Normal(Experts, 100)];
        }

        public bool Quantised { get; }

        public Tensor Run(IKernels kernels, Tensor x, GatedUnit unit)
        {
            using Room room = Place(kernels, x);
            room.Run(unit);
            return _arena.Copy(room.Y);
        }

        public Room Place(IKernels kernels, Tensor x)
        {
            int outputs = Quantised ? _inner : _width;
            return new Room(
                kernels, _arena, x,
                new Projection(_arena.Pack(kernels, _router)),
                new ExpertProjection(Matrices(kernels, outputs, Hidden, 1), _biases[0]),
                new ExpertProjection(Matrices(kernels, outputs, Hidden, 2), _biases[1]),
                new ExpertProjection(Matrices(kernels, 100, outputs, 3), _biases[2]));
        }

        public void Dispose() => _blocks.ForEach(block => block.Dispose());

        private static WeightFormat Named(string name) => name switch
        {
            "F32" => DenseFormat.F32,
            "BF16" => DenseFormat.BF16,
            "F16" => DenseFormat.F16,
            _ => GgufTypes.All.Values.OfType<QuantisedFormat>().Single(format => format.Name == name),
        };

        private WeightMatrix[] Matrices(IKernels kernels, int outputs, int inputs, int seed) =>
            [.. Enumerable.Range(0, Experts).Select(expert => Matrix(kernels, outputs, inputs, expert + (100 * seed)))];

        private WeightMatrix Matrix(IKernels kernels, int outputs, int inputs, int seed)
        {
            WeightFormat format = _formats[seed % _formats.Length];
            byte[] bytes;
            if (format is DenseFormat dense)
            {
                using var arena = new Arena(seed);
                Tensor raw = arena.RawWeights(dense.Type, outputs, inputs, 0.1f);
                bytes = new Span<byte>((void*)raw.Data, (int)format.Bytes((long)outputs * inputs)).ToArray();
            }
            else
            {
                bytes = QuantisedModel.Blocks(format, outputs * inputs, seed);
            }

            var source = new NativeMemoryBlock(bytes.Length);
            Marshal.Copy(bytes, 0, source.Address, bytes.Length);
            WeightMatrix matrix = kernels.Describe(format, outputs, inputs);
            var place = new NativeMemoryBlock(matrix.Bytes);
            matrix.Place(place, 0);
            kernels.Pack(matrix, new MatrixPart(new StoredTensor(format, outputs, inputs, source.Address)));
            _blocks.AddRange([source, place]);
            return matrix;
        }

        /// <summary>All that one run needs.</summary>
        public sealed class Room : IDisposable
        {
            private readonly IKernels _kernels;
            private readonly Projection _router;
            private readonly ExpertProjection _gate;
            private readonly ExpertProjection _up;
            private readonly ExpertProjection _down;
            private readonly Routing _routing;
            private readonly Tensor _logits;
            private readonly Tensor _outputs;
            private readonly ProductInput _input;
            private readonly ProductInput _gathered;
            private readonly ProductInput _intermediate;

            public Room(IKernels kernels, Arena arena, Tensor x, Projection router, ExpertProjection gate, ExpertProjection up,
                ExpertProjection down)
            {
                (_kernels, _router, _gate, _up, _down) = (kernels, router, gate, up, down);
                int places = x.Rows * Used;
                _routing = new Routing(x.Rows, Experts, Used);
                _logits = arena.Zeros(x.Rows, Experts);
                _outputs = arena.Zeros(places, down.Matrices[0].Rows);
                Y = arena.Zeros(x.Rows, down.Matrices[0].Rows);
                _input = KernelCalls.Input(kernels, x, [.. router.Parts]);
                _gathered = kernels.CreateInput(places, x.Columns, [.. gate.Matrices.Concat(up.Matrices).Select(matrix => matrix.Format)]);
                _intermediate = kernels.CreateInput(places, gate.Matrices[0].Rows, [.. down.Matrices.Select(matrix => matrix.Format)]);
            }

            public Tensor Y { get; }

            public void Run(GatedUnit unit)
            {
                InputRows x = _input.Rows(0, Y.Rows);
                _kernels.Multiply(x, _router, _logits);
                _kernels.Route(_logits, new RouterParams(Used, RouterScore.Softmax, true), _routing);
                InputRows gathered = _gathered.Rows(0, _routing.Places);
                InputRows intermediate = _intermediate.Rows(0, _routing.Places);
                _kernels.MultiplyExperts(x, _routing, _gate, _up, unit, gathered, intermediate);
                _kernels.MultiplyExperts(intermediate, _routing, _down, _outputs);
                _kernels.SumExperts(_outputs, _routing, Y);
            }

            public void Dispose()
            {
                _input.Dispose();
                _gathered.Dispose();
                _intermediate.Dispose();
            }
        }
    }
}
