using Understory.Decoding.Drafters;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding;

/// <summary>
/// Gives a drafter that reads them the target's states, of every row that the target keeps of sequences that may be drafted for.
/// </summary>
internal sealed class StateFeed(Transformer target, IDraftModel draft)
{
    private readonly float[] _state = new float[target.StateSize];

    /// <summary>A sequence that is never drafted for pays nothing.</summary>
    public static bool Reads(Sequence sequence) => sequence.Request.Speculation != SpeculationMode.Off && !sequence.Request.Embed;

    /// <param name="row">Of the rows that the last pass kept (<see cref="ForwardBatch.KeptRows"/>).</param>
    public void Row(Sequence sequence, int row, int position)
    {
        target.ReadState(row, _state);
        draft.Feed(sequence.Entry.Draft!, sequence.Context, position, _state);
    }
}
