namespace Understory.Peer;

/// <summary>A model loaded by one of the two engines, with one sequence.</summary>
internal interface IEngine : IDisposable
{
    string Name { get; }

    int Vocabulary { get; }

    /// <summary>Bytes of weights that a pass reads, as the engine holds them.</summary>
    long WeightBytes { get; }

    /// <summary>
    /// One pass over tokens at positions <paramref name="start"/>, start + 1, ...; whatever the sequence held from there on is forgotten.
    /// </summary>
    /// <param name="allLogits">Of every row, or of the last alone.</param>
    void Forward(ReadOnlySpan<int> tokens, int start, bool allLogits);

    /// <summary>Logits of row <paramref name="row"/> of the last pass, which computed them for all rows.</summary>
    void ReadLogits(int row, Span<float> logits);
}
