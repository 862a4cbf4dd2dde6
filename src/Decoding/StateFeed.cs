using Understory.Decoding.Drafters;
using Understory.Models.Architecture;

namespace Understory.Decoding;

/// <summary>Gives a drafter that reads them the target's final hidden states, of every row that the target keeps.</summary>
internal sealed class StateFeed(Transformer target, IDraftModel draft)
{
    private readonly float[] _state = new float[target.Config.HiddenSize];

    /// <param name="row">Row of the last pass's logits.</param>
    public void Row(DraftCache cache, int row, int position)
    {
        target.ReadHidden(row, _state);
        draft.Feed(cache, position, _state);
    }
}
