using Understory.Models.Architecture;

namespace Understory.Decoding.Sequences;

/// <summary>
/// The mean of a prompt's final hidden states. Rows are added in the order of their positions, in double precision, so the bits do not
/// depend on how the prompt was cut into chunks.
/// </summary>
/// <param name="size">Width of a hidden state.</param>
public sealed class HiddenMean(int size)
{
    private readonly double[] _sums = new double[size];
    private readonly float[] _state = new float[size];

    /// <summary>Takes in the first <paramref name="rows"/> rows of the model's last pass.</summary>
    public void Add(Transformer model, int rows)
    {
        for (int row = 0; row < rows; row++)
        {
            model.ReadHidden(row, _state);
            for (int i = 0; i < _sums.Length; i++)
            {
                _sums[i] += _state[i];
            }
        }
    }

    /// <summary>The mean scaled to length 1; zeros where there is nothing to scale.</summary>
    public float[] Normalized()
    {
        double length = Math.Sqrt(_sums.Sum(value => value * value));
        return Array.ConvertAll(_sums, value => length > 0 ? (float)(value / length) : 0);
    }
}
