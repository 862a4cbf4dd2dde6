using Understory.Models.Tensors;

namespace Understory.Models.Formats;

/// <summary>
/// Weights by name, in the format that the file has them in. Matrices are <c>[rows, columns]</c>, row-major; a vector of n has shape
/// <c>[n]</c> and is read as one row. A missing tensor, another shape or a type that cannot be read is an <see
/// cref="InvalidDataException"/> that names the file, the tensor, what was expected and what was found.
/// </summary>
public interface ITensorSource : IDisposable
{
    IEnumerable<string> Names { get; }

    bool Contains(string name);

    /// <summary>The format that <see cref="Read"/> gives this tensor in; checks name and shape without touching the data.</summary>
    WeightFormat FormatOf(string name, params ReadOnlySpan<int> shape);

    /// <summary>The <see cref="StoredTensor.Scale"/> that <see cref="Read"/> gives this tensor: what one beside it says, else 1.</summary>
    /// <param name="number">
    /// Of a stack of matrices <c>[stack, rows, columns]</c>, the one that is meant: each may have its own, and <see cref="Read"/> gives 1.
    /// </param>
    float ScaleOf(string name, int number = 0) => 1;

    /// <summary>The tensor's blocks in host memory, valid until <see cref="Release"/> or the end of the source.</summary>
    StoredTensor Read(string name, params ReadOnlySpan<int> shape);

    /// <summary>What <see cref="Read"/> gives lies in the file itself, and stays there as long as the source is open.</summary>
    bool StaysMapped(string name) => false;

    /// <summary>The caller has copied <paramref name="tensor"/>: its memory may go.</summary>
    void Release(StoredTensor tensor);
}
