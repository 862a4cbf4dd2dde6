using System.CommandLine;
using System.Net;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs;

/// <summary>
/// <c>understory health</c>: asks the server on this machine how it is; exit code 0 when it takes requests. For container healthchecks,
/// where there may be no curl; host and port are read as <c>serve</c> reads them.
/// </summary>
public static class HealthVerb
{
    private static readonly TimeSpan _patience = TimeSpan.FromSeconds(4);

    public static Command Create(CommandLine line)
    {
        var verb = new Command("health", "Ask the server on this machine whether it takes requests.");
        verb.SetAction((parsed, cancellation) => RunAsync(line.Read(parsed)));
        return verb;
    }

    private static async Task<int> RunAsync(ServerOptions options)
    {
        var address = new Uri($"http://{new IPEndPoint(Reachable(options.Address), options.Port)}/health");
        using var client = new HttpClient(new SocketsHttpHandler { UseProxy = false }) { Timeout = _patience };
        try
        {
            using HttpResponseMessage answer = await client.GetAsync(address);
            Console.WriteLine(await answer.Content.ReadAsStringAsync());
            return answer.IsSuccessStatusCode ? CommandLine.Done : CommandLine.Failed;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            throw new StartupException($"{address} does not answer: {e.Message}", e);
        }
    }

    /// <summary>"Every address" is one to listen on, not one to ask.</summary>
    private static IPAddress Reachable(IPAddress address) =>
        address.Equals(IPAddress.Any) ? IPAddress.Loopback
        : address.Equals(IPAddress.IPv6Any) ? IPAddress.IPv6Loopback
        : address;
}
