using System.Text.Json;
using Understory.Decoding.Planning;

namespace Understory.Server.Hosting;

/// <summary>
/// What passes cost, kept from one start to the next for each pair of models, on so many threads of a device: a start on a busy machine is
/// then planned on what is known of a quiet one. A file that cannot be read or written is done without.
/// </summary>
/// <param name="path">A JSON object; the folder is made when something is kept.</param>
public sealed class CostFile(string path)
{
    /// <summary>The oldest go when there are more.</summary>
    private const int MostEntries = 32;

    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <param name="Key">Models, kernels, threads.</param>
    private sealed record Entry(string Key, CostCurves Costs);

    /// <summary>In the folder of the user's that may be emptied at any time (XDG Base Directory: <c>XDG_CACHE_HOME</c>).</summary>
    public static CostFile OfUser(Func<string, string?> environment)
    {
        string? said = environment("XDG_CACHE_HOME");
        string cache = string.IsNullOrEmpty(said)
            ? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache") : said;
        return new CostFile(Path.Combine(cache, "understory", "costs.json"));
    }

    /// <summary>What was kept under a key; null: nothing that could be believed.</summary>
    public CostCurves? Find(string key) =>
        Read().LastOrDefault(entry => entry.Key == key)?.Costs is { Target.IsSound: true, Draft: null or { IsSound: true } } costs
            ? costs : null;

    /// <summary>Replaces what was kept under a key.</summary>
    public void Keep(string key, CostCurves costs)
    {
        Entry[] entries = [.. Read().Where(entry => entry.Key != key).TakeLast(MostEntries - 1), new Entry(key, costs)];
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            // A new name and then a rename: another server that starts meanwhile reads the old file or the new one.
            string written = $"{path}.{Environment.ProcessId}";
            File.WriteAllText(written, JsonSerializer.Serialize(entries, Json));
            File.Move(written, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
        }
    }

    private Entry[] Read()
    {
        try
        {
            Entry?[] entries = JsonSerializer.Deserialize<Entry?[]>(File.ReadAllText(path)) ?? [];
            return [.. entries.OfType<Entry>().Where(entry => entry is { Key: not null, Costs.Target.Seconds: not null })];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or ArgumentException
            or NotSupportedException)
        {
            return [];
        }
    }
}
