using Understory.Models.Kernels.Cpu.Attention;
using Understory.Models.Kernels.Cpu.Decision;
using Understory.Models.Kernels.Cpu.Products;
using Understory.Models.Kernels.Cpu.Quantised;
using Understory.Models.Kernels.Cpu.Recurrence;
using Understory.Models.Kernels.Cpu.Vectors;
using Understory.Models.Kernels.Cpu.Weights;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cpu;

/// <summary>
/// The fast sets: the same code over sixteen lanes of whatever vectors the machine has. Operations that take less time than waking
/// other threads run on the caller alone.
/// </summary>
internal sealed class VectorKernels<T> : CpuKernels
    where T : unmanaged, ILanes<T>
{
    /// <summary>Below about a microsecond of work a second thread costs more than it takes off.</summary>
    private const long WorthSharing = 1 << 16;

    private readonly ThreadTeam _team;
    private readonly QuantisedSet _quantisedSet;
    private readonly ProductJob<T> _product;
    private readonly QuantiseJob _quantise = new();
    private readonly NormJob<T> _norm = new();
    private readonly CapJob<T> _cap = new();
    private readonly EmbedJob _embed = new();
    private readonly GatherJob<T> _gather = new();
    private readonly SumExpertsJob<T> _sumExperts = new();
    private readonly AddJob<T> _add = new();
    private readonly StoreJob<T> _store = new();
    private readonly ConvolveJob<T> _convolve = new();
    private readonly DeltaJob<T> _delta = new();
    private readonly NormGateJob<T> _normGate = new();
    private readonly RecurrentScratch _recurrent;
    private readonly AttendJob<T> _attend;
    private readonly DecideJob<T> _decide;

    public VectorKernels(string name, int threads)
    {
        Name = name;
        _quantisedSet = QuantisedKernels.Best(name);
        _team = new ThreadTeam(threads);
        _recurrent = new RecurrentScratch(threads);
        _product = new ProductJob<T>(threads);
        _attend = new AttendJob<T>(threads);
        _decide = new DecideJob<T>(threads);
    }

    public override string Name { get; }

    public override bool TryMap(WeightMatrix matrix) => ((CpuMatrix)matrix).TryMap();

    public override void Embed(WeightMatrix table, WeightMatrix? positions, ForwardBatch batch, Tensor output, float scale)
    {
        _embed.Set((CpuMatrix)table, (CpuMatrix?)positions, batch, output, scale, _team.Threads);
        Share(_embed, batch.Count, (long)batch.Count * table.Columns * 8);
    }

    public override void Normalize(Tensor x, in Norm norm, InputRows output)
    {
        _norm.Set(x, norm, CpuInput.Write(output), add: false);
        Share(_norm, x.Rows, (long)x.Rows * x.Columns * 16);
    }

    public override void Normalize(Tensor x, in Norm norm)
    {
        _norm.Set(x, norm, x, add: false);
        Share(_norm, x.Rows, (long)x.Rows * x.Columns * 16);
    }

    public override void NormalizeAdd(Tensor x, in Norm norm, Tensor y)
    {
        _norm.Set(x, norm, y, add: true);
        Share(_norm, x.Rows, (long)x.Rows * x.Columns * 16);
    }

    public override void Cap(Tensor x, float scale, float cap)
    {
        _cap.Set(x, scale, cap);
        Share(_cap, x.Rows, (long)x.Rows * x.Columns * 16);
    }

    public override void SumExperts(Tensor x, Routing routing, Tensor y)
    {
        _sumExperts.Set(x, routing, y);
        Share(_sumExperts, routing.Rows, (long)routing.Places * x.Columns * 8);
    }

    public override void Add(Tensor x, Tensor gate, float scale, Tensor y)
    {
        _add.Set(x, gate, scale, y);
        Share(_add, x.Rows, (long)x.Rows * x.Columns * 8);
    }

    public override void StoreKeysValues(Tensor qkv, int heads, in RotaryParams rotary, KvLayer layer, ForwardBatch batch)
    {
        _store.Set(qkv, heads, rotary, layer, batch);
        Share(_store, batch.Count, (long)batch.Count * qkv.Columns * 4, grain: KvLayer.BlockSlots);
    }

    public override void Decide(Tensor logits, DecisionBatch decision)
    {
        _decide.Set(logits, decision);
        Share(_decide, decision.Rows, (long)decision.Rows * logits.Columns * 16);
    }

    public override void Dispose()
    {
        _team.Dispose();
        _recurrent.Dispose();
        _product.Dispose();
        _attend.Dispose();
        _decide.Dispose();
        base.Dispose();
    }

    protected override void Product(InputRows x, Projection weights, Tensor y, Epilogue epilogue)
    {
        _product.Set(weights, x, y, epilogue, _quantisedSet);
        Quantise(x);
        Share(_product, _product.Items, _product.Work);
    }

    protected override void GatedProduct(InputRows x, Projection gate, Projection up, Activation activation, Tensor y)
    {
        _product.SetGated(gate, up, x, y, activation, _quantisedSet);
        Quantise(x);
        Share(_product, _product.Items, _product.Work);
    }

    protected override void Gather(Tensor x, Routing routing, Tensor output)
    {
        _gather.Set(x, routing, output);
        Share(_gather, routing.Places, (long)routing.Places * x.Columns * 4);
    }

    protected override void ExpertProduct(
        InputRows x, Routing routing, ExpertProjection weights, ExpertProjection? up, in GatedUnit unit, Tensor y)
    {
        _product.SetExperts(routing, weights, up, unit, x, y, _quantisedSet);
        Quantise(x);
        Share(_product, _product.Items, _product.Work);
    }

    protected override void Attend(Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch, Tensor output)
    {
        _attend.Set(queries, layer, attention, batch, output);
        Share(_attend, _attend.Items, _attend.Work);
    }

    protected override void Recur(
        Tensor inputs, in RecurrentParams recurrent, in RecurrentLayer layer, RecurrentWalk walk, int first, Tensor output)
    {
        _recurrent.Reach(layer.Shape, walk.Count, walk.Buffers);
        _convolve.Set(_recurrent, inputs, recurrent, layer, walk);
        Share(_convolve, _convolve.Items, _convolve.Work);
        _delta.Set(_recurrent, layer, walk);
        Share(_delta, _delta.Items, _delta.Work);
        _normGate.Set(
            _recurrent, layer.Shape, recurrent.Norm, inputs.RowRange(first, output.Rows), walk.Earlier + first, output);
        Share(_normGate, _normGate.Items, 16L * output.Rows * output.Columns);
        RecurrentRows.Keep(inputs, layer, walk);
    }

    /// <summary>Brings the product's inputs into integers, where it wants them and they are not yet.</summary>
    private void Quantise(InputRows x)
    {
        if (_product.Stale)
        {
            _quantise.Set(CpuInput.Read(x), _product.Integers);
            Share(_quantise, x.Count, 2L * x.Count * x.Columns);
        }
    }

    /// <param name="work">Multiply-adds, roughly.</param>
    /// <param name="grain">Items that one thread should take together.</param>
    private void Share(Job job, int items, long work, int grain = 1)
    {
        if (work < WorthSharing)
        {
            job.Run(0, items, 0);
            return;
        }

        // Pieces of about a microsecond, but at least two for each thread.
        long perItem = Math.Max(1, work / items);
        int piece = (int)Math.Clamp(WorthSharing / perItem, 1, Math.Max(1, items / (2 * _team.Threads)));
        _team.Run(job, items, (piece + grain - 1) / grain * grain);
    }
}
