using Understory.Models.Tensors;

namespace Understory.Models.Tests.Formats;

internal static unsafe class StoredTensors
{
    /// <summary>The values of a row.</summary>
    public static float[] Row(this StoredTensor tensor, int row)
    {
        float[] values = new float[tensor.Columns];
        fixed (float* to = values)
        {
            tensor.Format.Decode((byte*)tensor.Data + (row * tensor.Format.Bytes(tensor.Columns)), tensor.Columns, to);
        }

        return values;
    }
}
