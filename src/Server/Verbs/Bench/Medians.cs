namespace Understory.Server.Verbs.Bench;

internal static class Medians
{
    /// <summary>The middle value, of an even number the mean of the two in the middle; of none NaN.</summary>
    public static double Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int half = sorted.Length / 2;
        return sorted.Length == 0 ? double.NaN : sorted.Length % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    }
}
