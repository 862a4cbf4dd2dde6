using Understory.Decoding.Drafters;

namespace Understory.Training.Drafting;

/// <summary>Says how far counting n-grams is; told on the sampling thread.</summary>
internal sealed class CountingReport(WorkFolder work) : IProgress<NgramBuildProgress>
{
    public void Report(NgramBuildProgress value) => work.Progress("counting", value.Samples, value.Total);
}
