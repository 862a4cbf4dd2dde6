using System.Runtime.InteropServices;

namespace Understory.Models.Kernels.Cuda;

// The structs that kernels take, field for field as in Source/*.cu, where each field is explained.

/// <summary>Keys or values of a layer: byte offset in a cache, bytes between blocks of 16 slots.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LayerArguments
{
    public long Offset;
    public long Block;
    public int Heads;
    public int Dims;
}

/// <summary>One row of a pass, 32 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 32)]
internal struct PassRow
{
    public int Token;
    public int Position;
    public int Slot;
    public int Prefix;
    public int Ancestors;
}

/// <summary>What the host uploads before a pass begins with; its rows follow, then their ancestors.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
internal struct PassHeader
{
    public int Rows;
    public int Stride;
    public nint Cache;
}

[StructLayout(LayoutKind.Sequential)]
internal struct EmbedArguments
{
    public nint Pass;
    public nint Table;
    public nint Positions;
    public nint Output;
    public int Type;
    public int PositionType;
    public int Padded;
    public int PositionsPadded;
    public int Columns;
    public int Stride;
}

/// <summary>A norm and the rows that it reads; X 0: none.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NormParameters
{
    public nint X;
    public nint Weight;
    public nint Bias;
    public int Columns;
    public int Stride;
    public int Centred;
    public float Epsilon;
}

[StructLayout(LayoutKind.Sequential)]
internal struct NormArguments
{
    public NormParameters Norm;
    public nint Output;
    public int Rows;
    public int OutputStride;
    public int OutputType;
}

[StructLayout(LayoutKind.Sequential)]
internal struct StoreArguments
{
    public nint Pass;
    public nint Qkv;
    public nint Cosine;
    public nint Sine;
    public nint QueryNorm;
    public nint KeyNorm;
    public LayerArguments Keys;
    public LayerArguments Values;
    public int Heads;
    public int Stride;
    public int Half;
    public int TableStride;
    public int Type;
    public float Epsilon;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MoveArguments
{
    public const int Most = 64;

    public nint Cache;
    public long Block;
    public int Parts;
    public int Dims;
    public int Size;
    public int Count;
    public int To;
    public fixed int From[Most];
}

[StructLayout(LayoutKind.Sequential)]
internal struct ConvertArguments
{
    public nint X;
    public nint Y;
    public int Columns;
    public int Padded;
    public int Stride;
    public int Type;
    public int SourceType;
}

[StructLayout(LayoutKind.Sequential)]
internal struct ProductArguments
{
    public nint Weights;
    public nint Up;
    public nint X;
    public nint Y;
    public nint Bias;
    public int Outputs;
    public int Pairs;
    public int WeightStride;
    public int XStride;
    public int YStride;
    public int Rows;
    public int Activation;
    public int YType;
    public int Add;
    public NormParameters Norm;
    public nint Pass;
    public LayerArguments Keys;
    public LayerArguments Values;
    public int FirstKey;
    public int CacheType;
}

[StructLayout(LayoutKind.Sequential)]
internal struct AttendArguments
{
    public nint Pass;
    public nint Queries;
    public nint Output;
    public LayerArguments Keys;
    public LayerArguments Values;
    public int Heads;
    public int QueryStride;
    public int OutputStride;
    public int OutputType;
    public int Lanes;
    public int Window;
    public float Scale;
}

[StructLayout(LayoutKind.Sequential)]
internal struct DecideArguments
{
    public nint Logits;
    public nint Changed;
    public nint RowData;
    public nint Tokens;
    public nint Mask;
    public nint Threshold;
    public nint PartMax;
    public nint PartSum;
    public nint PartBest;
    public nint OutTokens;
    public nint OutScores;
    public nint OutLogProbs;
    public nint OutGiven;
    public long Stride;
    public int Vocabulary;
    public int Rows;
    public int Parts;
    public int Best;
    public int Seen;
    public int Paths;
    public int Biased;
    public int MaskWords;
    public int Filtered;
    public int TopK;
    public uint SeedLow;
    public uint SeedHigh;
    public uint Choice;
    public float Temperature;
    public float TopP;
    public float MinP;
    public float LogMinP;
    public float Repetition;
    public float Presence;
    public float Frequency;
}
