using System.Globalization;
using System.Net;

namespace Understory.Server.Hosting;

/// <summary>
/// Names of <c>--allowed-hosts</c>: <c>box.example</c> on any port, <c>server:8080</c> on that one, <c>*.example</c> for all names that end
/// so, <c>*</c> for every name.
/// </summary>
public sealed class HostNames
{
    private readonly List<(string Name, int? Port)> _names = [];

    /// <exception cref="ArgumentException">An entry is no host name.</exception>
    public HostNames(IEnumerable<string> entries)
    {
        foreach (string entry in entries)
        {
            if (entry == "*")
            {
                All = true;
            }
            else
            {
                _names.Add(Read(entry) ?? throw new ArgumentException($"'{entry}' is no host name.", nameof(entries)));
            }
        }
    }

    public bool All { get; }

    public bool Any => All || _names.Count > 0;

    /// <param name="host">Without brackets.</param>
    /// <param name="port">Null where the header names none.</param>
    public bool Contains(string host, int? port) =>
        All || _names.Exists(known => (known.Port is null || known.Port == port) && Fits(known.Name, host));

    private static bool Fits(string name, string host) => name.StartsWith("*.", StringComparison.Ordinal)
        ? host.Length > name.Length - 1 && host.EndsWith(name[1..], StringComparison.OrdinalIgnoreCase)
        : host.Equals(name, StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether the entry can be one of <c>--allowed-hosts</c>.</summary>
    public static bool IsName(string entry) => entry == "*" || Read(entry) is not null;

    /// <returns>Null: it is no host name.</returns>
    private static (string Name, int? Port)? Read(string entry)
    {
        if (IPAddress.TryParse(entry.Trim('[', ']'), out IPAddress? address))
        {
            return (address.ToString(), null);
        }

        int colon = entry.LastIndexOf(':');
        string name = (colon < 0 ? entry : entry[..colon]).Trim('[', ']');
        int port = 0;
        bool hasPort = colon >= 0 && int.TryParse(entry.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
            && port is > 0 and <= 65535;
        string plain = name.StartsWith("*.", StringComparison.Ordinal) ? name[2..] : name;
        return (colon < 0 || hasPort) && Uri.CheckHostName(plain) != UriHostNameType.Unknown
            ? (name, hasPort ? port : null) : null;
    }
}
