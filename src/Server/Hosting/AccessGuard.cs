using System.Net;
using System.Security.Cryptography;
using System.Text;
using Understory.Server.OpenAi;

namespace Understory.Server.Hosting;

/// <summary>
/// Who may ask. Keys are compared in constant time. On loopback the Host and Origin headers must name this machine: a web page elsewhere can
/// make a visitor's browser talk to 127.0.0.1 (DNS rebinding), but it cannot make it lie about where the page came from.
/// </summary>
public sealed class AccessGuard
{
    private readonly byte[][] _keys;
    private readonly HashSet<string> _hosts;
    private readonly bool _checkHosts;

    public AccessGuard(ServerOptions options)
    {
        // Digests have one length, whatever the keys': the comparison tells nothing about them.
        _keys = [.. options.ApiKeys.Select(Digest)];
        _hosts = new HashSet<string>(options.AllowedHosts, StringComparer.OrdinalIgnoreCase);
        _checkHosts = (options.IsLoopback || _hosts.Count > 0) && !_hosts.Contains("*");
    }

    /// <exception cref="ApiException">403: a foreign Host or Origin. 401: no key or a wrong one.</exception>
    public void Check(HttpRequest request)
    {
        if (_checkHosts)
        {
            if (!IsAllowed(request.Host.Host))
            {
                throw new ApiException(403, $"The Host header names '{request.Host.Host}', which is not this machine; --allowed-hosts admits further names.", code: "host_not_allowed");
            }

            if (request.Headers.Origin.ToString() is { Length: > 0 } origin
                && !(Uri.TryCreate(origin, UriKind.Absolute, out Uri? uri) && IsAllowed(uri.IdnHost)))
            {
                throw new ApiException(403, $"Pages of '{origin}' may not use this server; --allowed-hosts admits further names.", code: "origin_not_allowed");
            }
        }

        // Whether it lives is no secret, and those who ask (orchestrators) carry no key.
        if (_keys.Length > 0 && request.Path != "/health" && !HasKey(request))
        {
            throw new ApiException(401, "A valid key is needed: send the header 'Authorization: Bearer KEY'.", code: "invalid_api_key");
        }
    }

    private bool HasKey(HttpRequest request)
    {
        const string Scheme = "Bearer ";
        string header = request.Headers.Authorization.ToString();
        if (!header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        byte[] digest = Digest(header[Scheme.Length..].Trim());
        bool found = false;
        foreach (byte[] key in _keys)
        {
            found |= CryptographicOperations.FixedTimeEquals(digest, key);
        }

        return found;
    }

    private bool IsAllowed(string host)
    {
        string name = host.Trim('[', ']');
        bool here = name.Equals("localhost", StringComparison.OrdinalIgnoreCase)
            || name.EndsWith(".localhost", StringComparison.OrdinalIgnoreCase)
            || (IPAddress.TryParse(name, out IPAddress? address) && IPAddress.IsLoopback(address));
        return here || _hosts.Contains(name);
    }

    private static byte[] Digest(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
