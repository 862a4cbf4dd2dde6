using Understory.Models.Kernels.Cuda.Driver;

namespace Understory.Models.Kernels.Cuda;

/// <summary>What makes two passes the same launches on other data.</summary>
/// <param name="Rows">Padded.</param>
/// <param name="First">First row whose logits are wanted; -1: none is.</param>
internal readonly record struct PassShape(object Model, int Rows, int First, int FirstState, long CacheBlock, CacheType CacheType);

/// <summary>
/// Recorded passes. A shape is recorded when it comes for the second time: by then the driver has loaded all its kernels, which it must
/// not do while it records, and a shape that comes once costs nothing. When there are too many, all are dropped: shapes come back.
/// </summary>
internal sealed class PassGraphs(CudaDriver driver) : IDisposable
{
    private const int Most = 96;

    private readonly Dictionary<PassShape, nint> _graphs = [];
    private readonly HashSet<PassShape> _seen = [];

    public bool TryGet(in PassShape shape, out nint graph) => _graphs.TryGetValue(shape, out graph);

    /// <summary>Whether the shape came before.</summary>
    public bool Knows(in PassShape shape) => !_seen.Add(shape);

    public void Add(in PassShape shape, nint graph)
    {
        if (_graphs.Count == Most)
        {
            Clear();
        }

        _graphs.Add(shape, graph);
    }

    public void Clear()
    {
        if (_graphs.Count > 0)
        {
            driver.Synchronize();
        }

        foreach (nint graph in _graphs.Values)
        {
            driver.DestroyGraph(graph);
        }

        _graphs.Clear();
        _seen.Clear();
    }

    public void Dispose() => Clear();
}
