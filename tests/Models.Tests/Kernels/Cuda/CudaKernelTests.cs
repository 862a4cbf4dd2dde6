using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using Understory.PtxEmulator;

namespace Understory.Models.Tests.Kernels.Cuda;

/// <summary>
/// Every CUDA kernel against the reference, on an emulated device that finds races, misaligned and stray accesses and reads of what was
/// never written.
/// </summary>
public sealed unsafe class CudaKernelTests : IDisposable
{
    private readonly CudaKernels _cuda = new(new EmulatedDriver());
    private readonly IKernels _reference = KernelCatalog.Create("reference");
    private readonly List<MemoryBlock> _blocks = [];

    public static TheoryData<DType> Types => [DType.BF16, DType.F16, DType.F32];

    public void Dispose()
    {
        foreach (MemoryBlock block in _blocks)
        {
            block.Dispose();
        }

        _cuda.Dispose();
        _reference.Dispose();
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void A_product_is_the_reference_s_at_every_odd_size_and_the_same_bits_at_every_width(DType type)
    {
        foreach ((int outputs, int inputs) in (ReadOnlySpan<(int, int)>)[(1, 1), (15, 33), (16, 32), (17, 31), (40, 64), (33, 300)])
        {
            using Arena arena = new(outputs + inputs);
            Tensor raw = arena.RawWeights(type, outputs, inputs);
            WeightMatrix host = arena.Pack(_reference, raw);
            WeightMatrix device = Pack(raw);
            Tensor x = Rounded(arena.Normal(70, inputs), type);
            Tensor bias = arena.Normal(1, outputs);
            Tensor onDevice = Upload(x);
            Epilogue epilogue = new(bias, Activation.GeluTanh);
            Epilogue deviceEpilogue = epilogue with { Bias = Upload(bias) };
            Tensor expected = arena.Zeros(70, outputs);
            _reference.MatMul(host, x, expected, epilogue);
            Tensor? first = null;
            foreach (int rows in (int[])[70, 64, 33, 17, 9, 8, 3, 1])
            {
                Tensor y = Room(rows, outputs);
                _cuda.MatMul(device, onDevice.RowRange(0, rows), y, deviceEpilogue);
                Tensor actual = Download(arena, y);
                Assert.True(Arena.Difference(actual, expected.RowRange(0, rows)) < 1e-5,
                    $"{outputs} x {inputs}, {rows} rows: {Arena.Difference(actual, expected.RowRange(0, rows))}");
                AssertSameRows(first ??= actual, actual, $"{outputs} x {inputs}, {rows} rows");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Gated_pairs_residuals_and_transposed_weights_are_the_reference_s(DType type)
    {
        using Arena arena = new(5);
        Tensor rawGate = arena.RawWeights(type, 45, 50);
        Tensor rawUp = arena.RawWeights(type, 50, 45);
        WeightMatrix gate = Pack(rawGate);
        WeightMatrix up = Pack(rawUp, transposed: true);
        WeightMatrix hostUp = arena.Pack(_reference, rawUp, transposed: true);
        foreach (int rows in (int[])[1, 9, 20])
        {
            Tensor x = Rounded(arena.Normal(rows, 50), type);
            Tensor expected = arena.Zeros(rows, 45);
            _reference.GatedMatMul(arena.Pack(_reference, rawGate), hostUp, x, expected, Activation.Silu);
            Tensor y = Room(rows, 45);
            _cuda.GatedMatMul(gate, up, Upload(x), y, Activation.Silu);
            Assert.True(Arena.Difference(Download(arena, y), expected) < 1e-5, $"gated, {rows} rows");
            Epilogue add = new(AddToOutput: true);
            _reference.MatMul(hostUp, x, expected, add);
            _cuda.MatMul(up, Upload(x), y, add);
            Assert.True(Arena.Difference(Download(arena, y), expected) < 1e-5, $"residual, {rows} rows");
        }
    }

    [Theory]
    [InlineData(DType.BF16, 300, 40, 70, "tiles_bf16_8")]
    [InlineData(DType.BF16, 100, 31, 129, "tiles_bf16_4")]
    [InlineData(DType.F16, 130, 290, 131, "tiles_f16_8")]
    [InlineData(DType.F16, 77, 513, 67, "tiles_f16_4")]
    public void A_row_of_a_wide_product_has_the_bits_of_a_narrow_one(DType type, int outputs, int inputs, int rows, string kernel)
    {
        using Arena arena = new(outputs);
        Tensor raw = arena.RawWeights(type, outputs, inputs);
        WeightMatrix weights = Pack(raw);
        WeightMatrix up = Pack(arena.RawWeights(type, outputs, inputs));
        Tensor x = Rounded(arena.Normal(rows, inputs), type);
        Tensor residual = arena.Normal(rows, outputs);
        Tensor device = Upload(x);
        (Tensor wide, Tensor narrow) = (Upload(residual), Upload(residual));
        (Tensor wideGated, Tensor narrowGated) = (Room(rows, outputs), Room(rows, outputs));
        Epilogue epilogue = new(Bias: Upload(arena.Normal(1, outputs)), AddToOutput: true);
        _cuda.MatMul(weights, device, wide, epilogue);
        Assert.Contains(kernel, ((EmulatedDriver)_cuda.Driver).Ran);
        _cuda.GatedMatMul(weights, up, device, wideGated, Activation.Silu);
        foreach ((int first, int count) in (ReadOnlySpan<(int, int)>)[(0, 8), (8, 48), (56, 11), (rows - 1, 1)])
        {
            Tensor part = narrow.RowRange(first, count);
            // Residuals are added to what is there, and the last parts overlap.
            for (int row = 0; row < count; row++)
            {
                _cuda.Write(residual.Floats(first + row), part.RowRange(row, 1).Data);
            }

            _cuda.MatMul(weights, device.RowRange(first, count), part, epilogue);
            AssertSameRows(Download(arena, part), Download(arena, wide.RowRange(first, count)), $"rows from {first}");
            _cuda.GatedMatMul(weights, up, device.RowRange(first, count), narrowGated.RowRange(first, count), Activation.Silu);
            AssertSameRows(Download(arena, narrowGated.RowRange(first, count)), Download(arena, wideGated.RowRange(first, count)),
                $"gated, rows from {first}");
        }
    }

    [Theory]
    [InlineData(DType.BF16, 0, 0)]
    [InlineData(DType.BF16, 30, 5)]
    [InlineData(DType.F16, 0, 90)]
    public void Attention_of_a_wide_pass_has_the_bits_of_a_narrow_one(DType type, int window, int prefix)
    {
        const int Rows = 70;
        const int Heads = 4;
        const int KvHeads = 2;
        const int HeadDim = 40;
        using Arena arena = new(window);
        var layers = new KvLayer[1];
        MemoryBlock cache = _cuda.AllocateCache(layers, [new KvShape(KvHeads, HeadDim)], CacheTypes.Of(type), 192);
        _blocks.Add(cache);
        cache.Reach(cache.Bytes);
        Tensor qkv = Upload(arena.Normal(prefix + Rows, (Heads + (2 * KvHeads)) * HeadDim));
        ForwardBatch batch = new(192, 1);
        Fill(0, prefix + Rows);
        _cuda.StoreKeysValues(qkv, Heads, default, layers[0], batch);
        AttentionParams attention = new(Heads, KvHeads, HeadDim, 1 / MathF.Sqrt(HeadDim), window);
        Tensor queries = qkv.ColumnRange(0, Heads * HeadDim);
        Tensor wide = Room(Rows, Heads * HeadDim);
        Tensor narrow = Room(Rows, Heads * HeadDim);
        Fill(prefix, Rows);
        _cuda.Attend(queries.RowRange(prefix, Rows), layers[0], attention, batch, wide);
        Assert.Contains(((EmulatedDriver)_cuda.Driver).Ran, name => name.EndsWith("_rows", StringComparison.Ordinal));
        for (int first = 0; first < Rows; first += 35)
        {
            Fill(prefix + first, 35);
            _cuda.Attend(queries.RowRange(prefix + first, 35), layers[0], attention, batch, narrow.RowRange(first, 35));
        }

        AssertSameRows(Download(arena, narrow), Download(arena, wide), "attention");

        void Fill(int first, int count)
        {
            batch.Clear();
            for (int row = 0; row < count; row++)
            {
                batch.Add(0, first + row);
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void A_mask_s_words_beyond_the_rows_and_bits_beyond_the_vocabulary_say_nothing(float temperature)
    {
        foreach (int vocabulary in (int[])[70, 1500])
        {
            const int Rows = 3;
            using Arena arena = new(vocabulary);
            using IKernels processor = KernelCatalog.Create(threads: 1);
            Tensor logits = arena.Normal(Rows, vocabulary, 3);
            int words = (vocabulary + 63) / 64;
            // Room for five rows; the second row's answer is over: nothing but what no token has is allowed, in the third anything.
            ulong[] mask = new ulong[5 * words];
            new Random(3).NextBytes(System.Runtime.InteropServices.MemoryMarshal.AsBytes(mask.AsSpan()));
            mask.AsSpan(words, words).Clear();
            mask[(2 * words) - 1] = ulong.MaxValue << (vocabulary % 64);
            mask.AsSpan(2 * words, words).Fill(ulong.MaxValue);
            DecisionBatch[] batches = [Batch(), Batch(), Batch()];
            _reference.Decide(logits, batches[0]);
            processor.Decide(logits, batches[1]);
            _cuda.Decide(Upload(logits), batches[2]);
            for (int row = 0; row < Rows; row++)
            {
                for (int i = row * 8; i < (row * 8) + 4; i++)
                {
                    Assert.Equal(batches[0].Tokens[i], batches[1].Tokens[i]);
                    Assert.Equal(batches[0].Tokens[i], batches[2].Tokens[i]);
                    Assert.True(row == 1 || ((mask[(row * words) + (batches[2].Tokens[i] / 64)] >> (batches[2].Tokens[i] % 64)) & 1) == 1,
                        $"row {row}: token {batches[2].Tokens[i]} is not allowed");
                }
            }

            DecisionBatch Batch() => new(5, 8, 1)
            {
                Params = DecisionParams.Greedy with { Temperature = temperature, TopK = temperature > 0 ? 20 : 0, Seed = 7 },
                Rows = Rows,
                Best = 4,
                Mask = mask,
                MaskWords = words,
            };
        }
    }

    [Fact]
    public void Huge_tiny_and_negative_zero_weights_are_multiplied_exactly_and_NaN_stays_in_its_row()
    {
        using Arena arena = new();
        Tensor raw = arena.RawWeights(DType.BF16, 16, 32, scale: 0);
        float[] values = [1e-40f, -1e-40f, 1e30f, -1e30f, -0f, 1.1754944e-38f, 3, -7];
        for (int i = 0; i < values.Length; i++)
        {
            ((ushort*)raw.Data)[(i * 32) + i] = (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16);
        }

        Tensor x = arena.Zeros(9, 32);
        for (int row = 0; row < 8; row++)
        {
            x.Floats(row).Clear();
            x.Floats(row)[row] = 1;
        }

        x.Floats(8).Fill(float.NaN);
        Tensor y = Room(9, 16);
        _cuda.MatMul(Pack(raw), Upload(x), y, default);
        Tensor actual = Download(arena, y);
        for (int i = 0; i < values.Length; i++)
        {
            Assert.Equal(BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(values[i]) & 0xFFFF0000), actual.Floats(i)[i]);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public void Norms_are_the_reference_s(float offset)
    {
        foreach (int columns in (int[])[1, 31, 100, 768])
        {
            using Arena arena = new(columns);
            Tensor x = arena.Normal(5, columns);
            foreach (ref float value in x.Floats(2))
            {
                value += offset;
            }

            Tensor weight = arena.Normal(1, columns);
            Tensor bias = arena.Normal(1, columns);
            Tensor expected = arena.Zeros(5, columns);
            Tensor y = Room(5, columns);
            (Tensor dx, Tensor dw, Tensor db) = (Upload(x), Upload(weight), Upload(bias));
            _cuda.LayerNorm(dx, dw, db, 1e-5f, y);
            _reference.LayerNorm(x, weight, bias, 1e-5f, expected);
            Assert.True(Arena.Difference(Download(arena, y), expected) < 1e-4, $"LayerNorm of {columns}");
            _cuda.RmsNorm(dx, dw, 1e-5f, y);
            _reference.RmsNorm(x, weight, 1e-5f, expected);
            Assert.True(Arena.Difference(Download(arena, y), expected) < 1e-6, $"RmsNorm of {columns}");
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Embedding_reads_packed_rows_back(DType type)
    {
        using Arena arena = new();
        Tensor raw = arena.RawWeights(type, 21, 35);
        WeightMatrix table = Pack(raw);
        ForwardBatch batch = new(21, 1);
        for (int token = 20; token >= 0; token--)
        {
            batch.Add(token, 20 - token);
        }

        Tensor expected = arena.Zeros(21, 35);
        WeightMatrix host = arena.Pack(_reference, raw);
        _reference.Embed(host, host, batch, expected);
        Tensor y = Room(21, 35);
        _cuda.Embed(table, table, batch, y);
        AssertSameRows(expected, Download(arena, y), "embedding");
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Attention_is_the_reference_s_for_sequences_and_trees(DType type)
    {
        foreach ((int heads, int kvHeads, int headDim, int window) in (ReadOnlySpan<(int, int, int, int)>)[(2, 2, 64, 0), (4, 2, 32, 0),
            (3, 1, 20, 0), (2, 1, 48, 21), (4, 2, 17, 5), (1, 1, 128, 0), (2, 2, 16, 1)])
        {
            foreach (int prefix in (int[])[0, 1, 16, 137])
            {
                using Arena arena = new(prefix + headDim);
                int columns = (heads + (2 * kvHeads)) * headDim;
                KvLayer host = arena.Cache(CacheTypes.Of(type), kvHeads, headDim, 208);
                var layers = new KvLayer[1];
                MemoryBlock cache = _cuda.AllocateCache(layers, [new KvShape(kvHeads, headDim)], CacheTypes.Of(type), 208);
                _blocks.Add(cache);
                cache.Reach(cache.Bytes);
                RotaryParams rotary = headDim % 4 != 0
                    ? default : new(arena.Normal(256, headDim / 4), arena.Normal(256, headDim / 4), headDim / 4 * 2,
                        arena.Normal(1, headDim), arena.Normal(1, headDim), 1e-6f);
                RotaryParams deviceRotary = rotary.Cosine.Data == 0
                    ? default : rotary with
                    {
                        Cosine = Upload(rotary.Cosine),
                        Sine = Upload(rotary.Sine),
                        QueryNorm = Upload(rotary.QueryNorm),
                        KeyNorm = Upload(rotary.KeyNorm)
                    };
                ForwardBatch batch = new(140, 40);
                for (int i = 0; i < prefix; i++)
                {
                    batch.Add(0, i);
                }

                _ = Store(out _);
                batch.Clear();
                List<int> left = [];
                for (int depth = 0; depth < 9; depth++)
                {
                    int slot = prefix + (3 * depth) + 1;
                    batch.Add(0, slot, prefix, [.. left]);
                    batch.Add(0, slot + 1, prefix, [.. left.Take(depth / 2)]);
                    left.Add(slot);
                }

                Tensor queries = Store(out Tensor deviceQueries);
                Assert.True(Arena.Difference(Download(arena, deviceQueries), queries) < 1e-6, "rotated");
                AttentionParams attention = new(heads, kvHeads, headDim, 1 / MathF.Sqrt(headDim), window);
                Tensor expected = arena.Zeros(batch.Count, heads * headDim);
                Tensor y = Room(batch.Count, heads * headDim);
                _reference.Attend(queries.ColumnRange(0, heads * headDim), host, attention, batch, expected);
                _cuda.Attend(deviceQueries.ColumnRange(0, heads * headDim), layers[0], attention, batch, y);
                double difference = Arena.Difference(Download(arena, y), expected);
                // A key that lies between two numbers of the cache's type may be rounded either way after the norm's last bit.
                Assert.True(difference < (type == DType.F32 ? 3e-6 : 2e-3),
                    $"{heads} heads of {headDim}, window {window}, prefix {prefix}: {difference}");

                Tensor Store(out Tensor device)
                {
                    Tensor qkv = arena.Normal(Math.Max(1, batch.Count), columns);
                    device = Upload(qkv);
                    _reference.StoreKeysValues(qkv, heads, rotary, host, batch);
                    _cuda.StoreKeysValues(device, heads, deviceRotary, layers[0], batch);
                    return qkv;
                }
            }
        }
    }

    public static TheoryData<float, int, float, float> Filters => new()
    {
        { 0, 0, 1, 0 },
        { 1, 0, 1, 0 },
        { 0.05f, 0, 1, 0 },
        { 1, 1, 1, 0 },
        { 1, 50, 1, 0 },
        { 1, 100_000, 1, 0 },
        { 0.8f, 0, 0.9f, 0 },
        { 1, 0, 0, 0 },
        { 1, 0, 1, 0.05f },
        { 1, 40, 0.95f, 0.01f },
    };

    [Theory]
    [MemberData(nameof(Filters))]
    public void The_candidates_are_the_reference_s(float temperature, int topK, float topP, float minP)
    {
        foreach (int vocabulary in (int[])[1, 3, 65, 1024, 2500])
        {
            const int Rows = 3;
            int best = vocabulary == 65 ? 32 : 4;
            using Arena arena = new(vocabulary);
            Tensor logits = arena.Normal(Rows, vocabulary, 3);
            DecisionParams rule =
                DecisionParams.Greedy with { Temperature = temperature, TopK = topK, TopP = topP, MinP = minP, Seed = 42 };
            DecisionBatch expected = new(Rows, 32, 4) { Params = rule, Rows = Rows, Best = best };
            DecisionBatch actual = new(Rows, 32, 4) { Params = rule, Rows = Rows, Best = best };
            for (int row = 0; row < Rows; row++)
            {
                expected.Positions[row] = actual.Positions[row] = 1000 * row;
                expected.Given[row] = actual.Given[row] = row == 0 ? -1 : (row * 77) % vocabulary;
            }

            _reference.Decide(logits, expected);
            _cuda.Decide(Upload(logits), actual);
            for (int row = 0; row < Rows; row++)
            {
                Assert.Equal(expected.GivenLogProbs[row], actual.GivenLogProbs[row], 1e-5f);
                for (int i = row * 32; i < (row * 32) + best; i++)
                {
                    Assert.True(expected.Tokens[i] == actual.Tokens[i],
                        $"vocabulary {vocabulary}, row {row}, place {i % 32}: {actual.Tokens[i]}, not {expected.Tokens[i]}");
                    Assert.Equal(expected.Scores[i], actual.Scores[i], 1e-5f + (3e-7f * MathF.Abs(expected.Scores[i])));
                    Assert.Equal(expected.LogProbs[i], actual.LogProbs[i], 1e-5f);
                }
            }
        }
    }

    [Fact]
    public void Scores_are_the_bits_of_the_processor_s_noise()
    {
        using IKernels processor = KernelCatalog.Create(threads: 1);
        using Arena arena = new();
        Tensor logits = arena.Normal(2, 900, 2);
        DecisionParams rule = DecisionParams.Greedy with { Temperature = 0.7f, Seed = 0xFEDCBA9876543210, Choice = 2 };
        DecisionBatch expected = new(2, 8, 1) { Params = rule, Rows = 2, Best = 8 };
        DecisionBatch actual = new(2, 8, 1) { Params = rule, Rows = 2, Best = 8 };
        expected.Positions[1] = actual.Positions[1] = 77;
        processor.Decide(logits, expected);
        _cuda.Decide(Upload(logits), actual);
        Assert.Equal(expected.Tokens, actual.Tokens);
        Assert.True(Arena.SameBits(expected.Scores, actual.Scores));
    }

    [Fact]
    public void Ties_NaN_and_infinities_are_decided_as_on_the_processor()
    {
        using Arena arena = new();
        foreach (int vocabulary in (int[])[40, 1500])
        {
            Tensor logits = arena.Zeros(3, vocabulary);
            logits.Floats(1).Fill(float.NaN);
            logits.Floats(1)[33] = -5;
            logits.Floats(1)[34] = float.NegativeInfinity;
            logits.Floats(2)[20] = float.PositiveInfinity;
            logits.Floats(2)[30] = float.PositiveInfinity;
            DecisionBatch batch = new(3, 3, 1) { Rows = 3, Best = 3 };
            Tensor device = Upload(logits);
            _cuda.Decide(device, batch);
            Assert.Equal([0, 1, 2, 33, -1, -1, 20, 30, 0], batch.Tokens);
            Assert.Equal(0f, batch.LogProbs[3]);
            batch.Params = DecisionParams.Greedy with { Temperature = 1, TopK = 3, Seed = 42 };
            _cuda.Decide(device, batch);
            Assert.Equal([0, 1, 2], batch.Tokens[..3].Order());
            Assert.Equal(33, batch.Tokens[3]);
        }
    }

    [Fact]
    public void Penalties_bias_and_mask_come_in_this_order() => PenaltyCases.Order(_cuda, Upload);

    [Fact]
    public void The_window_of_the_repetition_penalty_slides_along_a_row_s_path() => PenaltyCases.Window(_cuda, Upload);

    private static void AssertSameRows(Tensor expected, Tensor actual, string what)
    {
        for (int row = 0; row < actual.Rows; row++)
        {
            Assert.True(Arena.SameBits(expected.Floats(row), actual.Floats(row)), $"{what}: row {row} differs");
        }
    }

    private static Tensor Rounded(Tensor x, DType type)
    {
        for (int row = 0; row < x.Rows && type != DType.F32; row++)
        {
            foreach (ref float value in x.Floats(row))
            {
                value = type == DType.F16
                    ? (float)(Half)value : BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(value) & 0xFFFF0000);
            }
        }

        return x;
    }

    private Tensor Room(int rows, int columns)
    {
        int stride = (columns + 15) & ~15;
        MemoryBlock block = _cuda.Allocate((long)rows * stride * sizeof(float), sparse: false);
        _blocks.Add(block);
        return block.View(DType.F32, rows, columns, stride);
    }

    private Tensor Upload(Tensor host)
    {
        Tensor device = Room(host.Rows, host.Columns);
        for (int row = 0; row < host.Rows; row++)
        {
            _cuda.Write(host.Floats(row), device.RowRange(row, 1).Data);
        }

        return device;
    }

    private Tensor Download(Arena arena, Tensor device)
    {
        Tensor host = arena.Zeros(device.Rows, device.Columns);
        for (int row = 0; row < device.Rows; row++)
        {
            _cuda.Read(device.RowRange(row, 1).Data, host.Floats(row));
        }

        return host;
    }

    private WeightMatrix Pack(Tensor raw, bool transposed = false)
    {
        MatrixPart part = new(new StoredTensor(DenseFormat.Of(raw.Type), raw.Rows, raw.Columns, raw.Data), transposed);
        WeightMatrix matrix = _cuda.Describe(part.Tensor.Format, part.Outputs, part.Inputs);
        MemoryBlock block = _cuda.Allocate(matrix.Bytes, sparse: false);
        _blocks.Add(block);
        matrix.Place(block, 0);
        _cuda.Pack(matrix, part);
        return matrix;
    }
}
