using Understory.Models.Kernels.Cuda.Driver;
using Understory.Models.Tensors;

namespace Understory.Models.Kernels.Cuda;

/// <summary>Inputs of products on the device, in the one type that all their readers multiply with; F32 where those differ.</summary>
internal sealed class CudaInput : ProductInput
{
    private readonly DeviceMemory _memory;

    public CudaInput(CudaDriver driver, int maxRows, int columns, DType type)
        : base(maxRows, columns)
    {
        int stride = (columns + 15) / 16 * 16;
        _memory = new DeviceMemory(driver, (long)maxRows * stride * type.Size(), zeroed: true);
        Values = _memory.View(type, maxRows, columns, stride);
    }

    public Tensor Values { get; }

    public static Tensor ValuesOf(InputRows rows) =>
        ((CudaInput)rows.Input).Values.RowRange(rows.First, rows.Count).ColumnRange(0, rows.Columns);

    /// <summary>Copies a row from the host.</summary>
    public static unsafe void Write(CudaDriver driver, ReadOnlySpan<float> values, InputRows row)
    {
        Tensor target = ValuesOf(row);
        float[] rounded = new float[values.Length];
        fixed (float* host = rounded)
        {
            for (int i = 0; i < values.Length; i++)
            {
                Scalar.Write(target.Type, (nint)host, i, values[i]);
            }

            driver.Upload((nint)host, target.Data, (long)values.Length * target.Type.Size());
            driver.Synchronize();
        }
    }

    /// <summary>Copies a row to the host.</summary>
    public static unsafe void Read(CudaDriver driver, InputRows row, Span<float> values)
    {
        Tensor source = ValuesOf(row);
        float[] rounded = new float[values.Length];
        fixed (float* host = rounded)
        {
            driver.Download(source.Data, (nint)host, (long)values.Length * source.Type.Size());
            driver.Synchronize();
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = Scalar.Read(source.Type, (nint)host, i);
            }
        }
    }

    public override void Dispose() => _memory.Dispose();
}
