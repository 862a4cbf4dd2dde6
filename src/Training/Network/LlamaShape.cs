using System.Text.Json.Serialization;

namespace Understory.Training.Network;

/// <summary>
/// The sizes of a Llama: RMSNorm, rotary positions, grouped queries, a gated MLP with SiLU, the head tied to the embedding.
/// </summary>
/// <param name="Vocabulary">Tokens.</param>
/// <param name="Hidden">Width of the residual stream.</param>
/// <param name="Layers">Transformer blocks.</param>
/// <param name="Heads">Query heads; each is <c>Hidden / Heads</c> wide, an even number.</param>
/// <param name="KvHeads">Key and value heads, a divisor of <paramref name="Heads"/>.</param>
/// <param name="Width">Of the MLP.</param>
/// <param name="Context">Most tokens of a text.</param>
public sealed record LlamaShape(int Vocabulary, int Hidden, int Layers, int Heads, int KvHeads, int Width, int Context)
{
    /// <summary>RMSNorm adds it to the mean square.</summary>
    public double Epsilon { get; init; } = 1e-5;

    /// <summary>Base of the rotary angles: pair i of position p turns by <c>p / Theta^(2 i / HeadDim)</c>.</summary>
    public double Theta { get; init; } = 10000;

    [JsonIgnore]
    public int HeadDim => Hidden / Heads;

    /// <summary>Rows of the joined projection to queries, keys and values.</summary>
    [JsonIgnore]
    public int QkvRows => (Heads + (2 * KvHeads)) * HeadDim;

    [JsonIgnore]
    public long Parameters => ((long)Vocabulary * Hidden) + (Layers * BlockParameters) + Hidden;

    /// <summary>Of a training step, for each token: two a weight forward and four backward; attention itself is left out.</summary>
    [JsonIgnore]
    public double FlopsPerToken => 6.0 * (((long)Vocabulary * Hidden) + (Layers * BlockParameters));

    private long BlockParameters => ((long)QkvRows * Hidden) + ((long)Hidden * Hidden) + (3L * Width * Hidden) + (2L * Hidden);

    /// <exception cref="TrainingException">The sizes do not go together.</exception>
    public LlamaShape Validated()
    {
        bool fits = Vocabulary > 0 && Layers > 0 && KvHeads > 0 && Context > 1 && Hidden % 32 == 0 && Width % 32 == 0 && Width > 0
            && Heads > 0 && Hidden % Heads == 0 && HeadDim % 2 == 0 && Heads % KvHeads == 0;
        return fits ? this : throw new TrainingException(
            $"{this}: hidden size and MLP width must be multiples of 32, heads a divisor of the hidden size that leaves an even width, and "
            + "key-value heads a divisor of the heads.");
    }
}
