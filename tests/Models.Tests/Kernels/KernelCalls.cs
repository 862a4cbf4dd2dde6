using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;

namespace Understory.Models.Tests.Kernels;

/// <summary>What a test wants of a product on its way out.</summary>
internal readonly record struct Epilogue(Tensor Bias = default, Activation Activation = Activation.None, bool AddToOutput = false);

/// <summary>Operations on plain F32 tensors: inputs and results go through <see cref="ProductInput"/> and back.</summary>
internal static class KernelCalls
{
    public static void LayerNorm(this IKernels kernels, Tensor x, Tensor weight, Tensor bias, float epsilon, Tensor output) =>
        kernels.Norm(x, new Norm(NormKind.LayerNorm, weight, bias, epsilon), output);

    public static void RmsNorm(this IKernels kernels, Tensor x, Tensor weight, float epsilon, Tensor output) =>
        kernels.Norm(x, new Norm(NormKind.RmsNorm, weight, default, epsilon), output);

    /// <summary><c>y = activation(x w^T + bias)</c> or <c>y += x w^T + bias</c>.</summary>
    public static void MatMul(this IKernels kernels, WeightMatrix weights, Tensor x, Tensor y, in Epilogue epilogue)
    {
        using ProductInput input = Input(kernels, x, weights);
        var projection = new Projection(weights, epilogue.Bias);
        if (epilogue.Activation != Activation.None)
        {
            using ProductInput output = Room(kernels, y);
            kernels.MultiplyActivate(input.Rows(0, x.Rows), projection, epilogue.Activation, output.Rows(0, y.Rows));
            Back(kernels, output, y);
        }
        else if (epilogue.AddToOutput)
        {
            kernels.MultiplyAdd(input.Rows(0, x.Rows), projection, y);
        }
        else
        {
            kernels.Multiply(input.Rows(0, x.Rows), projection, y);
        }

        kernels.Finish();
    }

    public static void GatedMatMul(this IKernels kernels, WeightMatrix gate, WeightMatrix up, Tensor x, Tensor y, Activation activation)
    {
        using ProductInput input = Input(kernels, x, gate, up);
        using ProductInput output = Room(kernels, y);
        kernels.MultiplyGated(
            input.Rows(0, x.Rows), new Projection(gate), new Projection(up), activation, output.Rows(0, y.Rows));
        Back(kernels, output, y);
    }

    public static void Attend(this IKernels kernels, Tensor queries, KvLayer layer, in AttentionParams attention, ForwardBatch batch,
        Tensor output)
    {
        using ProductInput rows = Room(kernels, output);
        kernels.Attend(queries, layer, attention, batch, rows.Rows(0, output.Rows));
        Back(kernels, rows, output);
    }

    /// <summary>The rows of x as inputs of products with such weights.</summary>
    public static ProductInput Input(IKernels kernels, Tensor x, params WeightMatrix[] readers)
    {
        // A device's inputs in F32 are converted by its own kernel; that one is tested too.
        WeightFormat[] formats = kernels is CudaKernels ? [] : [.. readers.Select(matrix => matrix.Format)];
        ProductInput input = kernels.CreateInput(Math.Max(1, x.Rows), x.Columns, formats);
        float[] values = new float[x.Columns];
        for (int row = 0; row < x.Rows; row++)
        {
            kernels.Read(x.RowRange(row, 1).Data, values);
            kernels.Write(values, input.Rows(row, 1));
        }

        return input;
    }

    private static void Norm(this IKernels kernels, Tensor x, in Norm norm, Tensor output)
    {
        using ProductInput rows = Room(kernels, output);
        kernels.Normalize(x, norm, rows.Rows(0, x.Rows));
        Back(kernels, rows, output);
    }

    private static ProductInput Room(IKernels kernels, Tensor output) => kernels.CreateInput(Math.Max(1, output.Rows), output.Columns, []);

    private static void Back(IKernels kernels, ProductInput rows, Tensor output)
    {
        float[] values = new float[output.Columns];
        for (int row = 0; row < output.Rows; row++)
        {
            kernels.Read(rows.Rows(row, 1), values);
            kernels.Write(values, output.RowRange(row, 1).Data);
        }
    }
}
