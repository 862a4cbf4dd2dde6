namespace Understory.Training.Network;

/// <summary>A tensor of a network under the name that Hugging Face's Llama gives it: F32 rows, one after the other.</summary>
/// <param name="Shape"><c>[columns]</c> or <c>[rows, columns]</c>.</param>
public sealed record NetworkTensor(string Name, int[] Shape, ReadOnlyMemory<float> Values)
{
    public int Columns => Shape[^1];

    public int Rows => Shape.Length == 1 ? 1 : Shape[0];
}
