using Understory.Models.Formats.Quantised;
using Understory.Models.Kernels;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Tensors;
using Understory.Models.Tests.Formats;
using Understory.Models.Tests.Formats.Quantised;
using Understory.PtxEmulator;

namespace Understory.Models.Tests.Kernels.Cuda;

/// <summary>On a device, which holds what it cannot multiply with as BF16, scales are multiplied in before values are rounded.</summary>
public sealed unsafe class ScaledCudaTests : IDisposable
{
    private const int Outputs = 20;
    private const int Inputs = 64;

    private readonly CudaKernels _cuda = new(new EmulatedDriver());
    private readonly List<MemoryBlock> _blocks = [];

    public void Dispose()
    {
        _blocks.ForEach(block => block.Dispose());
        _cuda.Dispose();
    }

    [Theory]
    [InlineData("NVFP4")]
    [InlineData("Q8_0")]
    [InlineData("BF16")]
    [InlineData("F8_E4M3")]
    public void A_scaled_tensor_is_held_as_its_scaled_values_rounded_once(string name)
    {
        WeightFormat format = name == "F8_E4M3" ? Float8Format.Of(Inputs) : GgufTypes.All.Values.Single(type => type.Name == name);
        const float scale = 0.37f;
        StoredTensor tensor = Stored(format, Content(format)) with { Scale = scale };
        IEnumerable<float> values = Enumerable.Range(0, Outputs).SelectMany(row => tensor.Row(row));
        byte[] bytes = [.. values.SelectMany(value => BitConverter.GetBytes(Scalar.ToBFloat16(scale * value)))];
        Assert.Equal(Product(Stored(DenseFormat.BF16, bytes)), Product(tensor));
    }

    [Fact]
    public void What_is_no_number_is_refused()
    {
        byte[] blocks = Content(BlockFormat<Q8_0>.Instance);
        blocks.AsSpan(5 * Q8_0.Bytes, 2).Fill(0xFF);
        string message = Assert.Throws<InvalidDataException>(() => Product(Stored(BlockFormat<Q8_0>.Instance, blocks))).Message;
        Assert.Contains("row 2 ", message, StringComparison.Ordinal);
    }

    private static byte[] Content(WeightFormat format)
    {
        var random = new Random(6);
        return format switch
        {
            QuantisedFormat => QuantisedModel.Blocks(format, Outputs * Inputs, 6),
            DenseFormat => [.. Enumerable.Range(0, Outputs * Inputs).SelectMany(_ =>
                BitConverter.GetBytes(Scalar.ToBFloat16(random.NextSingle())))],
            _ => [.. Enumerable.Range(0, Outputs).SelectMany(row => (byte[])
                [.. BitConverter.GetBytes(random.NextSingle()), .. Enumerable.Range(0, Inputs).Select(_ => (byte)random.Next(0x7F))])],
        };
    }

    private StoredTensor Stored(WeightFormat format, byte[] bytes)
    {
        var block = new NativeMemoryBlock(bytes.Length);
        _blocks.Add(block);
        bytes.CopyTo(new Span<byte>((void*)block.Address, bytes.Length));
        return new StoredTensor(format, Outputs, Inputs, block.Address);
    }

    private float[] Product(StoredTensor tensor)
    {
        WeightMatrix matrix = _cuda.Describe(tensor.Format, Outputs, Inputs, tensor.Scale != 1);
        MemoryBlock block = _cuda.Allocate(matrix.Bytes, sparse: false);
        _blocks.Add(block);
        matrix.Place(block, 0);
        _cuda.Pack(matrix, new MatrixPart(tensor));
        using ProductInput input = _cuda.CreateInput(1, Inputs, [matrix.Format]);
        _cuda.Write([.. Enumerable.Range(0, Inputs).Select(i => MathF.Sin(i))], input.Rows(0, 1));
        MemoryBlock room = _cuda.Allocate(256, sparse: false);
        _blocks.Add(room);
        var y = new Tensor(DType.F32, 1, Outputs, 32, room.Address);
        _cuda.Multiply(input.Rows(0, 1), new Projection(matrix), y);
        float[] sums = new float[Outputs];
        _cuda.Read(y.Data, sums);
        return sums;
    }
}
