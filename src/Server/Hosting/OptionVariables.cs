namespace Understory.Server.Hosting;

/// <summary>Environment variables that look like options and are none.</summary>
public static class OptionVariables
{
    public const string Prefix = "UNDERSTORY_";

    /// <summary>Changes of one letter that a misspelt name may be away from the right one.</summary>
    private const int MostSlips = 2;

    /// <summary>
    /// An orchestrator's address of a service that is called like the program (Kubernetes and Docker's links set
    /// <c>UNDERSTORY_PORT=tcp://10.0.0.1:8080</c>), not somebody's choice.
    /// </summary>
    public static bool IsInjected(string value) =>
        value.StartsWith("tcp://", StringComparison.Ordinal) || value.StartsWith("udp://", StringComparison.Ordinal)
        || value.StartsWith("sctp://", StringComparison.Ordinal);

    /// <summary>Of these variables, each that means nothing but nearly does, and what it was meant to be.</summary>
    public static IEnumerable<(string Name, string Meant)> Misspelt(IEnumerable<string> names) =>
        from name in names
        where name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) && OptionCatalog.All.All(spec => spec.Variable != name)
        let nearest = OptionCatalog.All.Select(spec => (spec.Variable, Slips: Slips(Bare(name), Bare(spec.Variable))))
            .MinBy(pair => pair.Slips)
        where nearest.Slips <= Math.Min(MostSlips, Bare(nearest.Variable).Length / 3)
        select (name, nearest.Variable);

    /// <summary>The name as people remember it: without prefix, underscores and case.</summary>
    private static string Bare(string variable) =>
        variable[Prefix.Length..].Replace("_", "", StringComparison.Ordinal).Replace("-", "", StringComparison.Ordinal).ToUpperInvariant();

    /// <summary>Levenshtein's distance: letters to insert, drop or change.</summary>
    private static int Slips(string from, string to)
    {
        int[] row = [.. Enumerable.Range(0, to.Length + 1)];
        for (int i = 1; i <= from.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= to.Length; j++)
            {
                int changed = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(changed, 1 + Math.Min(row[j], row[j - 1]));
            }
        }

        return row[^1];
    }
}
