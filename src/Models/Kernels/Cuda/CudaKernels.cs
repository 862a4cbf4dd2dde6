using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>
/// The operations on one CUDA device. They are launched on a stream and run behind the caller; a pass of at most 64 rows is recorded once
/// as a graph for each shape (rows rounded up to a bucket) and launched as one. Inputs of products are rounded to the weights' type (BF16
/// or F16) and summed in F32; F32 weights are multiplied in F32. See Source/*.cu for the order of every sum.
/// </summary>
internal sealed unsafe class CudaKernels : IKernels
{
    /// <summary>Recorded widths. Wider passes are launched one kernel after the other: their work outlasts the launching.</summary>
    private static readonly int[] Buckets = [1, 2, 4, 8, 16, 24, 32, 48, 64];

    /// <summary>
    /// Most rows before the first wanted one that a graph is made for: an answer's few tokens that a draft has not seen yet.
    /// </summary>
    private const int MostFirst = 8;

    private const int MaxHeadDim = 256;

    private readonly CudaDriver _driver;
    private readonly KernelModules _modules;
    private readonly PassBuffer _pass;
    private readonly PassGraphs _graphs;
    private readonly CudaDecision _decision;
    private readonly bool _overlap;
    private readonly bool _record;

    private readonly CudaProducts _products;

    private bool _inPass;
    private bool _recording;
    private int _padding;
    private nint _cache;
    private PassShape _shape;

    /// <param name="driver">Owned from here on, also where this fails.</param>
    /// <param name="overlap">Kernels may start before the one in front has ended, where the device can.</param>
    /// <param name="record">Passes become graphs.</param>
    public CudaKernels(CudaDriver driver, bool overlap = true, bool record = true)
    {
        _driver = driver;
        _record = record;
        try
        {
            _modules = new KernelModules(driver);
            _overlap = overlap && driver.Device.Major >= 9;
            _pass = new PassBuffer(driver);
            _graphs = new PassGraphs(driver);
            _decision = new CudaDecision(driver, _modules);
            _products = new CudaProducts(driver, _modules, _graphs, _overlap);
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    public string Name => "cuda";

    public KernelFeatures Missing => Lacking;

    /// <summary>None of them has a kernel yet; a model that wants one is refused when it is loaded.</summary>
    internal static KernelFeatures Lacking => KernelFeatures.Scaling | KernelFeatures.NormBehind | KernelFeatures.Capping
        | KernelFeatures.WholeQkNorm | KernelFeatures.PositionScale | KernelFeatures.ValueNorm | KernelFeatures.SharedKeyValues
        | KernelFeatures.Gates | KernelFeatures.EmbeddingNorm | KernelFeatures.GatedBias | KernelFeatures.Experts | KernelFeatures.Sinks
        | KernelFeatures.Recurrence;

    public CudaDeviceInfo Device => _driver.Device;

    internal CudaDriver Driver => _driver;

    public MemoryBlock Allocate(long bytes, bool sparse) => new DeviceMemory(_driver, bytes, zeroed: true);

    public IReadOnlyList<CacheType> CacheTypes { get; } = [CacheType.BF16, CacheType.F16, CacheType.F32];

    /// <exception cref="ArgumentException">The type has scales.</exception>
    public MemoryBlock AllocateCache(Span<KvLayer> layers, ReadOnlySpan<KvShape> shapes, CacheType type, int slots) =>
        CudaCache.Allocate(_driver, layers, shapes, type, slots);

    /// <summary>
    /// 1024 rows read the weights a quarter as often as 256; but on a small device they would take the room of keys and values.
    /// </summary>
    public int WidestPass(long bytesPerRow)
    {
        const int Widest = 1024;
        const int Narrowest = 256;
        const int Share = 32;
        return Widest * bytesPerRow <= _driver.Device.MemoryBytes / Share ? Widest : Narrowest;
    }

    public double MeasureBandwidth(long bytes) => CopyBandwidth.BytesPerSecond(_driver, bytes);

    public ProductInput CreateInput(int maxRows, int columns, IReadOnlyCollection<WeightFormat> readers)
    {
        DType[] types = [.. readers.Select(TypeOf).Distinct()];
        return new CudaInput(_driver, maxRows, columns, types is [DType one] ? one : DType.F32);
    }

    public void Write(ReadOnlySpan<float> values, nint address)
    {
        fixed (float* host = values)
        {
            _driver.Upload((nint)host, address, (long)values.Length * sizeof(float));
            _driver.Synchronize();
        }
    }

    public void Read(nint address, Span<float> values)
    {
        fixed (float* host = values)
        {
            _driver.Download(address, (nint)host, (long)values.Length * sizeof(float));
            _driver.Synchronize();
        }
    }

    public void Write(ReadOnlySpan<float> values, InputRows row) => CudaInput.Write(_driver, values, row);

    public void Read(InputRows row, Span<float> values) => CudaInput.Read(_driver, row, values);

    public void Finish() => _driver.Synchronize();

    public WeightMatrix Describe(WeightFormat format, int outputs, int inputs, bool scaled = false) =>
        new TiledMatrix(format, TypeOf(format), outputs, inputs);

    public void Pack(WeightMatrix matrix, params ReadOnlySpan<MatrixPart> parts)
    {
        WeightTiles.Upload(_driver, (TiledMatrix)matrix, new MatrixRows(matrix, parts));
        _products.Expect(((TiledMatrix)matrix).PaddedColumns);
    }

    public bool BeginPass(object model, ForwardBatch batch, ReadOnlySpan<KvLayer> cache)
    {
        Abandon();
        int first = batch.LogitsRows == 0 ? -1 : batch.FirstLogitsRow;
        int state = batch.FirstStateRow < batch.Count ? batch.FirstStateRow : -1;
        bool recordable = _record && batch.Count > 0 && batch.Count <= Buckets[^1] && first <= MostFirst && state <= MostFirst;
        int rows = recordable ? Array.Find(Buckets, bucket => bucket >= batch.Count) : batch.Count;
        _products.Reserve(rows);
        _cache = cache[0].Keys;
        _pass.Upload(batch, rows, _cache);
        _shape = new PassShape(model, rows, first, state, cache[0].BlockStride, cache[0].Type);
        if (recordable && _graphs.TryGet(_shape, out nint graph))
        {
            _driver.LaunchGraph(graph);
            return false;
        }

        _inPass = true;
        _padding = rows - batch.Count;
        if (recordable && _graphs.Knows(_shape))
        {
            _driver.BeginCapture();
            _recording = true;
        }

        return true;
    }

    public void EndPass()
    {
        End();
        if (_recording)
        {
            _recording = false;
            nint graph = _driver.EndCapture(discard: false);
            _graphs.Add(_shape, graph);
            _driver.LaunchGraph(graph);
        }
    }

    public void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output, float scale = 1)
    {
        int rows = Begin(batch, 0, batch.Count);
        if (rows == 0)
        {
            return;
        }

        if (positions is not null && positions.Columns != table.Columns)
        {
            throw new ArgumentException($"The position table has {positions.Columns} columns, the embedding {table.Columns}.",
                nameof(positions));
        }

        var tokens = (TiledMatrix)table;
        TiledMatrix places = (TiledMatrix?)positions ?? tokens;
        Launch(_modules.Embed, rows, 1, 256, new EmbedArguments
        {
            Pass = _pass.Address,
            Table = table.Data,
            Positions = positions?.Data ?? 0,
            Output = output.Data,
            Type = (int)tokens.Type,
            PositionType = (int)places.Type,
            Padded = tokens.PaddedColumns,
            PositionsPadded = places.PaddedColumns,
            Columns = table.Columns,
            Stride = output.Stride,
        });
    }

    public void Normalize(Tensor x, in Norm norm, InputRows output)
    {
        if (x.Rows > 0)
        {
            _products.Normalize(x, norm, CudaInput.ValuesOf(output), Padded(x.Rows));
        }
    }

    public void Multiply(in ProductSource x, Projection weights, Tensor y)
    {
        if (y.Rows > 0)
        {
            _products.Multiply(x, weights, y, Padded(y.Rows));
        }
    }

    public void MultiplyAdd(in ProductSource x, Projection weights, Tensor y, float scale = 1)
    {
        if (y.Rows > 0)
        {
            _products.Multiply(x, weights, y, Padded(y.Rows), add: true);
        }
    }

    public void Normalize(Tensor x, in Norm norm) => throw Lacks(KernelFeatures.EmbeddingNorm);

    public void NormalizeAdd(Tensor x, in Norm norm, Tensor y) => throw Lacks(KernelFeatures.NormBehind);

    public void MultiplyGate(in ProductSource x, Projection weights, Activation activation, InputRows y) =>
        throw Lacks(KernelFeatures.Gates);

    public void Take(Tensor x, InputRows output) => throw Lacks(KernelFeatures.NormBehind);

    public void Cap(Tensor x, float scale, float cap) => throw Lacks(KernelFeatures.Capping);

    public void Recur(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, InputRows output) =>
        throw Lacks(KernelFeatures.Recurrence);

    public void Route(Tensor logits, in RouterParams router, Routing routing) => throw Lacks(KernelFeatures.Experts);

    public void MultiplyExperts(InputRows x, Routing routing, ExpertProjection gate, ExpertProjection up, in GatedUnit unit,
        InputRows gathered, InputRows y) => throw Lacks(KernelFeatures.Experts);

    public void MultiplyExperts(InputRows x, Routing routing, ExpertProjection weights, Tensor y) => throw Lacks(KernelFeatures.Experts);

    public void SumExperts(Tensor x, Routing routing, Tensor y) => throw Lacks(KernelFeatures.Experts);

    public void Add(Tensor x, Tensor gate, float scale, Tensor y) => throw Lacks(KernelFeatures.Experts);

    public void MultiplyActivate(in ProductSource x, Projection weights, Activation activation, InputRows y)
    {
        if (y.Count > 0)
        {
            _products.Multiply(x, weights, CudaInput.ValuesOf(y), Padded(y.Count), activation);
        }
    }

    public void MultiplyGated(in ProductSource x, Projection gate, Projection up, Activation activation, InputRows y)
    {
        if (y.Count > 0)
        {
            _products.MultiplyGated(
                x, (TiledMatrix)gate.Parts[0], (TiledMatrix)up.Parts[0], activation, CudaInput.ValuesOf(y), Padded(y.Count));
        }
    }

    public void MultiplyStore(in ProductSource x, Projection weights, Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer,
        ForwardBatch batch)
    {
        if (rotary.Turns || weights.Parts.Length > 1)
        {
            Multiply(x, weights, qkv);
            StoreKeysValues(qkv, heads, rotary, layer, batch);
            return;
        }

        int rows = Begin(batch, layer.Keys, batch.Count);
        if (rows > 0)
        {
            LayerArguments keys = CudaCache.Describe(layer, layer.Keys, _cache);
            LayerArguments values = CudaCache.Describe(layer, layer.Values, _cache);
            _products.MultiplyStore(x, weights, qkv, rows, _pass.Address, keys, values, heads * layer.HeadDim, layer.Type.Elements());
        }
    }

    public void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch)
    {
        int rows = Begin(batch, layer.Keys, batch.Count);
        if (rows == 0)
        {
            return;
        }

        const int HeadsPerBlock = 4;
        Launch(_modules.Store, rows, (heads + layer.KvHeads + HeadsPerBlock - 1) / HeadsPerBlock, 32 * HeadsPerBlock, new StoreArguments
        {
            Pass = _pass.Address,
            Qkv = qkv.Data,
            Cosine = rotary.Cosine.Data,
            Sine = rotary.Sine.Data,
            QueryNorm = rotary.QueryNorm.Data,
            KeyNorm = rotary.KeyNorm.Data,
            Keys = CudaCache.Describe(layer, layer.Keys, _cache),
            Values = CudaCache.Describe(layer, layer.Values, _cache),
            Heads = heads,
            Stride = qkv.Stride,
            Half = rotary.Cosine.Data == 0 ? 0 : rotary.RotaryDim / 2,
            TableStride = rotary.Cosine.Stride,
            Type = (int)layer.Type.Elements(),
            Epsilon = rotary.NormEpsilon,
        });
    }

    public void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, InputRows target)
    {
        Tensor output = CudaInput.ValuesOf(target);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(attention.HeadDim, MaxHeadDim);
        int rows = Begin(batch, layer.Keys, batch.Count);
        if (rows == 0)
        {
            return;
        }

        const int Eight = 8;
        int lanes = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(attention.HeadDim + Eight - 1) / Eight);
        AttendArguments arguments = new()
        {
            Pass = _pass.Address,
            Queries = queries.Data,
            Output = output.Data,
            Keys = CudaCache.Describe(layer, layer.Keys, _cache),
            Values = CudaCache.Describe(layer, layer.Values, _cache),
            Heads = attention.Heads,
            QueryStride = queries.Stride,
            OutputStride = output.Stride,
            OutputType = (int)output.Type,
            Lanes = lanes,
            Window = attention.Window,
            Scale = attention.Scale,
        };
        bool whole = attention.HeadDim % Eight == 0;
        nint together = _pass.Plain && rows > Buckets[^1] ? _modules.AttendRows(layer.Type.Elements(), whole) : 0;
        if (together != 0)
        {
            Launch(together, (rows + KernelModules.RowsTogether - 1) / KernelModules.RowsTogether, attention.Heads, 256, arguments);
        }
        else
        {
            Launch(_modules.Attend(layer.Type.Elements(), whole), rows, attention.Heads, 256, arguments);
        }
    }

    public void Decide(Tensor logits, DecisionBatch decision) => _decision.Decide(logits, decision);

    public void MoveSlots(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to)
    {
        // Nodes often lie where they belong.
        while (from.Length > 0 && from[0] == to)
        {
            from = from[1..];
            to++;
        }

        while (layers.Length > 0)
        {
            int alike = CudaCache.Alike(layers);
            Move(layers[..alike], from, to);
            layers = layers[alike..];
        }
    }

    public void CopySlots(ReadOnlySpan<KvLayer> source, ReadOnlySpan<KvLayer> destination, int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, source[0].Slots);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, destination[0].Slots);
        ArgumentOutOfRangeException.ThrowIfNotEqual(source[0].BlockStride, destination[0].BlockStride);
        // Whole blocks: the slots behind the last one are free.
        long blocks = (count + KvLayer.BlockSlots - 1) / KvLayer.BlockSlots;
        if (blocks > 0)
        {
            _driver.Copy(source[0].Keys, destination[0].Keys, blocks * source[0].BlockStride);
        }
    }

    public void Dispose()
    {
        try
        {
            Abandon();
            _graphs.Dispose();
            _decision.Dispose();
            _pass.Dispose();
            _products.Dispose();
            _modules.Dispose();
        }
        finally
        {
            _driver.Dispose();
        }
    }

    /// <summary>Rows to launch for: those of a pass that is recorded fill its bucket.</summary>
    private int Padded(int rows) => rows == 0 ? 0 : rows + _padding;

    /// <summary>Sees to it that the batch is on the device. Outside a pass it is uploaded for this operation alone.</summary>
    private int Begin(ForwardBatch batch, nint cache, int rows)
    {
        if (!_inPass && rows > 0)
        {
            _cache = cache;
            _pass.Upload(batch, rows, cache);
        }

        return Padded(rows);
    }

    private static NotSupportedException Lacks(KernelFeatures feature) => new($"The CUDA kernels have no {feature}.");

    /// <summary>The type in which the device multiplies weights of a format.</summary>
    private static DType TypeOf(WeightFormat format) => format is DenseFormat dense ? dense.Type : DType.BF16;

    private void End()
    {
        _inPass = false;
        _padding = 0;
    }

    /// <summary>Ends a recording that an exception cut short.</summary>
    private void Abandon()
    {
        if (_recording)
        {
            _recording = false;
            _driver.EndCapture(discard: true);
        }

        End();
    }

    /// <param name="layers">Their heads are of one size.</param>
    private void Move(ReadOnlySpan<KvLayer> layers, ReadOnlySpan<int> from, int to)
    {
        KvLayer layer = layers[0];
        int parts = 0;
        foreach (ref readonly KvLayer one in layers)
        {
            parts += 2 * one.KvHeads;
        }

        while (from.Length > 0)
        {
            int count = Math.Min(from.Length, MoveArguments.Most);
            MoveArguments arguments = new()
            {
                Cache = layer.Keys,
                Block = layer.BlockStride,
                Parts = parts,
                Dims = layer.HeadDim,
                Size = layer.Type.Elements().Size(),
                Count = count,
                To = to,
            };
            from[..count].CopyTo(new Span<int>(arguments.From, MoveArguments.Most));
            Launch(_modules.MoveSlots, (int)((((long)parts * layer.HeadDim) + 255) / 256), 1, 256, arguments);
            from = from[count..];
            to += count;
        }
    }

    private void Launch<T>(nint function, int gridX, int gridY, int block, T arguments, int sharedBytes = 0)
        where T : unmanaged => _driver.Launch(function, gridX, gridY, block, sharedBytes, (nint)(&arguments), _overlap);
}
