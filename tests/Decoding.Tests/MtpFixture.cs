using System.Text.Json;

namespace Understory.Decoding.Tests;

/// <summary>A tiny trained hybrid with its prediction block, and what a plain forward says of its guesses: see make_mtp.py.</summary>
internal static class MtpFixture
{
    public static string Folder { get; } = Path.Combine(DemoBundle.Folder, "..", "mtp");

    /// <summary>Guesses of each chain.</summary>
    public static int Depth => Golden.RootElement.GetProperty("depth").GetInt32();

    public static IReadOnlyList<Case> Cases { get; } =
    [
        .. Golden.RootElement.GetProperty("cases").EnumerateArray().Select(one =>
            new Case(Integers(one, "prompt"), Integers(one, "greedy"), Integers(one, "accepted"))),
    ];

    private static JsonDocument Golden => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, "golden.json")));

    private static int[] Integers(JsonElement json, string key) =>
        [.. json.GetProperty(key).EnumerateArray().Select(item => item.GetInt32())];

    /// <param name="Greedy">What follows the prompt.</param>
    /// <param name="Accepted">
    /// How many guesses of a chain that text confirms, for each number of committed tokens from the prompt's on.
    /// </param>
    public sealed record Case(int[] Prompt, int[] Greedy, int[] Accepted);
}
