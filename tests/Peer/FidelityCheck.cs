using Understory.Models.Formats;
using Understory.Models.Tensors;

namespace Understory.Peer;

/// <summary>
/// How far the logits of both engines are from those of the file's weights decoded to F32, teacher-forced over the same tokens: mean KL and
/// agreement of the most probable token.
/// </summary>
internal sealed record FidelityCheck(Distance Ours, Distance Peer, int Positions, double MostKl)
{
    private const int Chunk = 64;

    public double Ratio => Ours.MeanKl / Peer.MeanKl;

    /// <summary>
    /// KL is small enough, and top 1 lower by at most half a point and twice what chance makes of so few positions. Of a NaN nothing holds.
    /// </summary>
    public bool Holds => Ratio <= MostKl && Ours.TopOne >= Peer.TopOne - 0.005 - (3 * Ours.TopOneError(Peer));

    /// <param name="tokens">At least one; ids of the model's vocabulary.</param>
    public static FidelityCheck Run(string path, int[] tokens)
    {
        int context = tokens.Length;
        using UnderstoryEngine truth = UnderstoryEngine.Widened(path, context);
        using UnderstoryEngine ours = UnderstoryEngine.Load(path, context);
        using LlamaCppEngine peer = LlamaCppEngine.Load(path, context);
        var check = new FidelityCheck(new Distance(), new Distance(), context, MostKlOf(path));
        float[] expected = new float[truth.Vocabulary];
        float[] actual = new float[truth.Vocabulary];
        for (int first = 0; first < tokens.Length; first += Chunk)
        {
            ReadOnlySpan<int> chunk = tokens.AsSpan(first, Math.Min(Chunk, tokens.Length - first));
            truth.Forward(chunk, first, allLogits: true);
            ours.Forward(chunk, first, allLogits: true);
            peer.Forward(chunk, first, allLogits: true);
            for (int row = 0; row < chunk.Length; row++)
            {
                truth.ReadLogits(row, expected);
                ours.ReadLogits(row, actual);
                check.Ours.Add(expected, actual);
                peer.ReadLogits(row, actual);
                check.Peer.Add(expected, actual);
            }
        }

        return check;
    }

    /// <summary>Ids that are equally probable, whatever the vocabulary means by them.</summary>
    public static int[] RandomTokens(int count, int vocabulary)
    {
        var random = new Random(1);
        return [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabulary))];
    }

    /// <summary>
    /// What our KL may be of llama.cpp's: it quantises inputs by 256 for types in blocks of 256, by 32 for the others; here it is 32 for
    /// all.
    /// </summary>
    private static double MostKlOf(string path)
    {
        using GgufPart file = GgufPart.Open(path);
        QuantisedFormat[] formats = [.. file.Tensors.Select(tensor => tensor.Entry.Type.Format).OfType<QuantisedFormat>()];
        return 2 * formats.Count(format => format.BlockElements == 256) > formats.Length ? 0.7 : 1.05;
    }
}
