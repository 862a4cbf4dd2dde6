using Understory.Decoding.Drafters;

namespace Understory.Training.Drafting;

/// <summary>What a draft with a vocabulary of its own writes, in the target's tokens.</summary>
internal sealed class TranslatedSamples(ISampleSource draft, VocabularyMap map) : ISampleSource
{
    public string Description => $"{draft.Description}, in the target's tokens";

    public int[] Sample(ulong seed, int index) => [.. draft.Sample(seed, index).SelectMany(token => map.TargetOf(token).ToArray())];
}
