using Understory.Models.Formats;
using Understory.Models.Formats.Quantised;
using Understory.Models.Tensors;

namespace Understory.Models.Architecture;

/// <summary>
/// A model's own weights in four bits, as a draft that reads the model's keys and values (arXiv 2410.13461 drafts so, and keeps the text
/// but in distribution; here the model decides every token). Every matrix of the layers is Q4_K, or Q4_1 where its rows are no multiple of
/// 256; so are the embedding and the head. Norms, biases, routers and learned positions are the model's.
/// </summary>
internal static class LowBitCopy
{
    /// <summary>Most rows of a pass. Chosen: rows of a draft's round and what is measured at the start.</summary>
    public const int MaxRows = 64;

    /// <summary>
    /// Share of the model's bytes that a pass of the copy may read. Chosen: above it a copy could not pay for its own passes, and the
    /// model has few bits itself: from Q8_0 it is 0.53 to 0.6, from Q6_K 0.69.
    /// </summary>
    private const double MostOfModel = 0.75;

    public static WeightFormat Format => BlockFormat<Q4_K>.Instance;

    /// <summary>What becomes of a matrix that would be quantised.</summary>
    public static MatrixPlan Plan(MatrixPlan quantised) =>
        quantised.Format is null ? quantised : quantised with { Format = Format, Again = true };

    /// <exception cref="InvalidDataException">The model's weights have too few bits already.</exception>
    public static void Require(Transformer model, Weights copy)
    {
        if (copy.BytesPerPass > MostOfModel * model.WeightBytes)
        {
            throw new InvalidDataException(
                $"--draft self: a copy in 4 bits would read {copy.BytesPerPass / 1e6:F1} MB a pass, and the model itself reads only "
                + $"{model.WeightBytes / 1e6:F1} MB: as these kernels hold them its weights have few bits already. Load the model in 8 or "
                + "16 bits, or give another draft than 'self', or none.");
        }
    }
}
