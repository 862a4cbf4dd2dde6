using System.Text.Json;

namespace Understory.Server.Hosting;

/// <summary>
/// A model of the hub that is worth a try, as <c>suggestions.json</c> lists it. The list is part of the program: nobody is asked before
/// somebody pulls.
/// </summary>
/// <param name="Model">As <c>pull</c> and <c>--model</c> take it.</param>
/// <param name="Bytes">To fetch, and of weights once it runs.</param>
/// <param name="TokenBytes">Of keys and values of a token.</param>
public sealed record SuggestedModel(string Model, long Parameters, long Bytes, long TokenBytes)
{
    /// <summary>A conversation of so many tokens should fit.</summary>
    private const int Tokens = 8192;

    /// <summary>Everything beside weights, keys and values.</summary>
    private const long OtherBytes = 150_000_000;

    /// <summary>Other programs want some of the machine's memory too.</summary>
    private const double Share = 0.8;

    private const int Most = 3;

    private static readonly JsonSerializerOptions Naming = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>All of the list, from small to large.</summary>
    public static IReadOnlyList<SuggestedModel> All { get; } = Load();

    /// <summary>Bytes of memory that serving takes with 8,192 tokens.</summary>
    public long MemoryBytes => Bytes + (Tokens * TokenBytes) + OtherBytes;

    /// <summary>What fetches it.</summary>
    public string Command => $"{Invocation.Name} pull {Model}";

    /// <summary>The largest few that fit, from small to large.</summary>
    /// <param name="memory">Bytes that the machine, or the container, has.</param>
    public static IReadOnlyList<SuggestedModel> For(long memory) =>
        [.. All.Where(model => model.MemoryBytes <= Share * memory).TakeLast(Most)];

    private static SuggestedModel[] Load()
    {
        using Stream list = typeof(SuggestedModel).Assembly.GetManifestResourceStream("suggestions.json")!;
        return JsonSerializer.Deserialize<SuggestedModel[]>(list, Naming)!;
    }
}
