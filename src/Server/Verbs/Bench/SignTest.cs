using System.Text.Json.Serialization;

namespace Understory.Server.Verbs.Bench;

/// <summary>
/// Whether one mode is faster than another, prompt by prompt: how it came out, and how probable as uneven a result is if neither is.
/// </summary>
/// <param name="Faster">The first mode's name.</param>
/// <param name="Slower">The other's.</param>
/// <param name="Wins">Prompts on which the first was faster.</param>
/// <param name="Losses">Prompts on which the other was; equal ones are left out.</param>
/// <param name="P">Two-sided, <c>2 * P(X &lt;= min(wins, losses))</c> with X binomial of n = wins + losses and 1/2, at most 1.</param>
public sealed record SignTest(
    [property: JsonPropertyName("mode")] string Faster,
    [property: JsonPropertyName("against")] string Slower,
    [property: JsonPropertyName("wins")] int Wins,
    [property: JsonPropertyName("losses")] int Losses,
    [property: JsonPropertyName("p")] double P)
{
    /// <summary>Null where the prompts do not have both modes.</summary>
    public static SignTest? Of(string first, string second, IReadOnlyList<PromptResult> prompts)
    {
        PromptResult[] both = [.. prompts.Where(prompt => prompt.Modes.ContainsKey(first) && prompt.Modes.ContainsKey(second))];
        if (both.Length == 0)
        {
            return null;
        }

        int wins = both.Count(prompt => prompt.Modes[first].TokensPerSecond > prompt.Modes[second].TokensPerSecond);
        int losses = both.Count(prompt => prompt.Modes[first].TokensPerSecond < prompt.Modes[second].TokensPerSecond);
        return new SignTest(first, second, wins, losses, Probability(wins, losses));
    }

    private static double Probability(int wins, int losses)
    {
        int n = wins + losses;
        double term = Math.Pow(0.5, n);
        double sum = 0;
        for (int k = 0; k <= Math.Min(wins, losses); k++)
        {
            sum += term;
            term *= (n - k) / (k + 1.0);
        }

        return Math.Min(1, 2 * sum);
    }

    public override string ToString() => $"{Faster} faster than {Slower} on {Wins} of {Wins + Losses} prompts (sign test, p = {P:G2})";
}

/// <summary><c>off</c> against <c>off</c>, run among the other modes: what a ratio may come to by noise alone.</summary>
/// <param name="Low">The 5th percentile over the prompts of the ratio of speeds within a prompt.</param>
/// <param name="High">The 95th.</param>
public sealed record NoiseBand(
    [property: JsonPropertyName("low")] double Low,
    [property: JsonPropertyName("median")] double Median,
    [property: JsonPropertyName("high")] double High)
{
    /// <summary>Null where there are no ratios.</summary>
    public static NoiseBand? Of(IEnumerable<double> ratios)
    {
        double[] sorted = [.. ratios.Order()];
        double At(double share) => sorted[(int)Math.Round(share * (sorted.Length - 1))];
        return sorted.Length == 0 ? null : new NoiseBand(At(0.05), At(0.5), At(0.95));
    }

    public override string ToString() => $"off against off: {Low:F3} to {High:F3} (90 % of the prompts), median {Median:F3}";
}
