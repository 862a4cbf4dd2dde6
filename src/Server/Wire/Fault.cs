using System.Text.Json;

namespace Understory.Server.Wire;

/// <summary>What is wrong with a value: a 400 that names the place.</summary>
/// <param name="Where">The path from the value that was checked, such as <c>messages[0].role</c>; empty: the value itself.</param>
/// <param name="Says">What follows the place in the message: "must be a string, not 5.".</param>
/// <param name="Code">A machine-readable reason, if there is one.</param>
public sealed record Fault(string Where, string Says, string? Code = null)
{
    private const int LongestQuote = 60;

    /// <summary>Of a field that the client may not use here.</summary>
    public const string Unsupported = "unsupported_parameter";

    public string? DetailCode { get; init; }

    public ApiException Error => new(400, $"{Where} {Says}", Where, Code) { DetailCode = DetailCode };

    /// <summary>A value of the wrong type or size.</summary>
    /// <param name="words">What it must be.</param>
    public static Fault Wrong(string words, JsonElement value) => new("", $"must be {words}, not {Quote(value)}.");

    public static Fault Missing(string words) => new("", $"is missing; it must be {words}.");

    /// <summary>The same, seen from the object whose member <paramref name="name"/> was checked.</summary>
    public Fault In(string name) => this with { Where = Where.Length == 0 || Where[0] == '[' ? name + Where : $"{name}.{Where}" };

    /// <summary>The same, seen from the array whose item was checked.</summary>
    public Fault At(int index) => In($"[{index}]");

    /// <summary>The value as it stood in the request, cut to a readable length; long texts are not repeated.</summary>
    public static string Quote(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Array:
                return $"an array of {value.GetArrayLength()}";
            case JsonValueKind.Object:
                return "an object";
            default:
                string raw = value.GetRawText();
                return raw.Length <= LongestQuote ? raw : string.Concat(raw.AsSpan(0, LongestQuote), "…");
        }
    }
}
