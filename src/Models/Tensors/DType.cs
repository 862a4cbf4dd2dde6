namespace Understory.Models.Tensors;

/// <summary>Element types that weights and activations are held in.</summary>
public enum DType
{
    F32,
    F16,
    BF16,
}

public static class DTypes
{
    /// <summary>Bytes of one element.</summary>
    public static int Size(this DType type) => type == DType.F32 ? 4 : 2;
}
