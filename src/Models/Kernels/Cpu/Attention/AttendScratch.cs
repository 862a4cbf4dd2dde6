using System.Runtime.InteropServices;

namespace Understory.Models.Kernels.Cpu.Attention;

/// <summary>One query's sequence of logical positions: <c>Start .. Length</c>, in blocks of 16.</summary>
internal struct AttendQuery
{
    public AttendQuery(int row, int column, int prefix, int ancestors, int window)
    {
        Row = row;
        Column = column;
        Prefix = prefix;
        Length = prefix + ancestors;
        Start = window > 0 ? Math.Max(0, Length - window) : 0;
        FirstBlock = Start / KvLayer.BlockSlots;
        WholeEnd = Math.Max(FirstBlock, prefix / KvLayer.BlockSlots);
        FirstWhole = Math.Min(WholeEnd, (Start + KvLayer.BlockSlots - 1) / KvLayer.BlockSlots);
    }

    public int Row { get; }

    /// <summary>First column of the query's head.</summary>
    public int Column { get; }

    public int Prefix { get; }

    public int Length { get; }

    /// <summary>First position that the window shows.</summary>
    public int Start { get; }

    public int FirstBlock { get; }

    /// <summary>First block that is seen from its first position on.</summary>
    public int FirstWhole { get; }

    /// <summary>End of the blocks that stand, whole, at their own slots.</summary>
    public int WholeEnd { get; }

    /// <summary>Sum of the probabilities before they are divided by it.</summary>
    public float Total { get; set; }

    /// <summary>Where a position's key and value are.</summary>
    public readonly int Slot(ForwardBatch batch, int position) =>
        position < Prefix ? position : batch.Ancestors[(Row * batch.MaxDepth) + position - Prefix];
}

/// <summary>Working memory of one thread; grows, never shrinks.</summary>
internal sealed unsafe class AttendScratch : IDisposable
{
    /// <summary>Values gathered at once.</summary>
    public const int GatheredRows = 64;

    /// <summary>Slots whose probabilities are multiplied by their scales at once: with their values they fit into the L1.</summary>
    public const int WeighedSlots = 256;

    private float* _memory;
    private long _floats;

    public AttendQuery[] Queries { get; private set; } = [];

    /// <summary>Blocks of slots whose scores stand in <see cref="TailScores"/>.</summary>
    public int[] TailBlocks { get; private set; } = [];

    public float* Scaled { get; private set; }

    public float* Sums { get; private set; }

    public float* Scores { get; private set; }

    public float* Chains { get; private set; }

    public float* TailScores { get; private set; }

    public float* Gathered { get; private set; }

    /// <summary>The scales of <see cref="Gathered"/>, as a block of values has them, for each 16 values.</summary>
    public byte* GatheredScales { get; private set; }

    /// <summary>Probabilities times scales, <see cref="WeighedSlots"/> floats for each query.</summary>
    public float* Weighed { get; private set; }

    public int ScoreStride { get; private set; }

    /// <summary>Logical position of the first score.</summary>
    public int ScoreBase { get; set; }

    public int ChainStride { get; private set; }

    /// <summary>HeadDim, rounded up to whole vectors.</summary>
    public int PaddedDim { get; private set; }

    public void Reserve(int queries, int headDim, int longest, int longestTail)
    {
        if (Queries.Length < queries || TailBlocks.Length < queries * longestTail)
        {
            Queries = new AttendQuery[queries];
            TailBlocks = new int[queries * longestTail];
        }

        PaddedDim = (headDim + 15) & ~15;
        ScoreStride = (longest + 31) & ~15;
        ChainStride = 2 * PaddedDim;
        long gathered = (long)GatheredRows * PaddedDim;
        // A 16-bit scale for 32 dimensions, or fewer.
        long scales = gathered / 16;
        long perQuery = PaddedDim + 32 + ScoreStride + ChainStride + WeighedSlots + (TailBlocks.Length * 16L);
        long floats = (queries * perQuery) + gathered + scales;
        if (floats > _floats)
        {
            NativeMemory.AlignedFree(_memory);
            _memory = (float*)NativeMemory.AlignedAlloc((nuint)(floats * 2 * sizeof(float)), 64);
            _floats = floats * 2;
        }

        Scaled = _memory;
        Sums = Scaled + (queries * PaddedDim);
        Chains = Sums + (queries * 32);
        Gathered = Chains + ((long)queries * ChainStride);
        GatheredScales = (byte*)(Gathered + gathered);
        Weighed = Gathered + gathered + scales;
        TailScores = Weighed + (queries * WeighedSlots);
        Scores = TailScores + ((long)TailBlocks.Length * queries * 16);
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        GC.SuppressFinalize(this);
    }

    ~AttendScratch() => Dispose();
}
