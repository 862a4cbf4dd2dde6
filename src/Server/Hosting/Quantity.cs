using System.Globalization;

namespace Understory.Server.Hosting;

/// <summary>Large numbers as people say them.</summary>
public static class Quantity
{
    /// <summary>"2.77 million", "4.02 billion".</summary>
    public static string Count(long count) => count switch
    {
        >= 1_000_000_000 => Digits(count / 1e9) + " billion",
        >= 1_000_000 => Digits(count / 1e6) + " million",
        _ => count.ToString("N0", CultureInfo.InvariantCulture),
    };

    /// <summary>"638 MB", "2.50 GB".</summary>
    public static string Bytes(long bytes) => bytes >= 1_000_000_000 ? Digits(bytes / 1e9) + " GB" : Digits(bytes / 1e6) + " MB";

    private static string Digits(double value) =>
        value.ToString(value >= 99.95 ? "F0" : value >= 9.995 ? "F1" : "F2", CultureInfo.InvariantCulture);
}
