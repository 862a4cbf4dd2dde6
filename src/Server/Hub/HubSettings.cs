namespace Understory.Server.Hub;

/// <summary>Where the hub is and where its files are kept, by the variables that other tools of the hub obey too.</summary>
/// <param name="Endpoint"><c>HF_ENDPOINT</c>; https://huggingface.co by default.</param>
/// <param name="Token"><c>HF_TOKEN</c>, or the file that logging in has written; null: none.</param>
/// <param name="CacheFolder"><c>HF_HUB_CACHE</c>, else <c>hub</c> in <c>HF_HOME</c>, else ~/.cache/huggingface/hub.</param>
/// <param name="Offline"><c>HF_HUB_OFFLINE</c>: nothing may be fetched.</param>
public sealed record HubSettings(Uri Endpoint, string? Token, string CacheFolder, bool Offline)
{
    private const string DefaultEndpoint = "https://huggingface.co";

    /// <exception cref="FormatException"><c>HF_ENDPOINT</c> is no address.</exception>
    public static HubSettings From(Func<string, string?> environment)
    {
        string address = Said("HF_ENDPOINT") ?? DefaultEndpoint;
        if (!Uri.TryCreate(address.TrimEnd('/') + "/", UriKind.Absolute, out Uri? endpoint) || endpoint.Scheme is not ("http" or "https"))
        {
            throw new FormatException($"HF_ENDPOINT must be an http or https address, not '{address}'.");
        }

        string home = Said("HF_HOME") ?? Path.Combine(
            Said("XDG_CACHE_HOME") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "huggingface");
        string? token = Said("HF_TOKEN") ?? TokenIn(Said("HF_TOKEN_PATH") ?? Path.Combine(home, "token"));
        bool offline = Said("HF_HUB_OFFLINE")?.ToUpperInvariant() is "1" or "TRUE" or "YES" or "ON";
        return new HubSettings(endpoint, token, Said("HF_HUB_CACHE") ?? Path.Combine(home, "hub"), offline);

        string? Said(string name) => environment(name) is { Length: > 0 } value ? value : null;
    }

    private static string? TokenIn(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim() is { Length: > 0 } token ? token : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
