using System.Security.Cryptography;
using System.Text;

namespace Understory.Server.Hosting;

/// <summary>
/// The keys that requests may carry: those of the command line, and those of a file, one a line, which is looked at every second. A file
/// that is missing, empty or no text leaves the keys as they were and says so in the log: rotating keys must not lock everybody out, nor
/// let everybody in.
/// </summary>
public sealed class ApiKeys : IDisposable
{
    /// <summary>Far above any list of keys: what is larger is another file.</summary>
    private const int MostBytes = 1 << 20;

    private const int LongestKey = 1024;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly byte[][] _given;
    private readonly string? _path;
    private readonly string _origin;
    private readonly ILogger? _log;
    private readonly Timer? _timer;
    private readonly Lock _reading = new();
    private volatile byte[][] _digests;

    // What the file held when it was taken over, and what it held at the last look; null: unreadable.
    private byte[]? _taken;
    private byte[]? _seen;
    private string? _complaint;

    /// <param name="log">Null: changes are taken over in silence.</param>
    /// <param name="lookEvery">How often the file is looked at; null: every second.</param>
    /// <exception cref="StartupException">The file cannot be read or holds no key.</exception>
    public ApiKeys(ServerOptions options, ILogger? log = null, TimeSpan? lookEvery = null)
    {
        _given = [.. options.ApiKeys.Select(Digest)];
        _path = options.ApiKeyFile;
        _origin = options.SaidBy(OptionCatalog.ApiKeyFile);
        _log = log;
        _digests = _given;
        if (_path is not null)
        {
            _taken = _seen = ReadAll(_path);
            _digests = [.. _given, .. KeysIn(_path, _taken)];
            _timer = new Timer(_ => Look(), null, lookEvery ?? LookEvery, lookEvery ?? LookEvery);
        }
    }

    /// <summary>Requests need a key.</summary>
    public bool Any => _digests.Length > 0;

    /// <summary>Looks for the key in time that depends on nothing but the number of keys.</summary>
    public bool Contains(string key)
    {
        byte[] digest = Digest(key);
        bool found = false;
        foreach (byte[] known in _digests)
        {
            found |= CryptographicOperations.FixedTimeEquals(digest, known);
        }

        return found;
    }

    public void Dispose() => _timer?.Dispose();

    /// <summary>
    /// Takes over what the file holds once two looks in a row have found the same: an editor that is still writing is not believed.
    /// </summary>
    internal void Look()
    {
        // A look that takes longer than a second is not joined by the next.
        if (!_reading.TryEnter())
        {
            return;
        }

        try
        {
            byte[] found = ReadAll(_path!);
            bool settled = _seen is not null && found.AsSpan().SequenceEqual(_seen);
            _seen = found;
            if (!settled || (_taken is not null && found.AsSpan().SequenceEqual(_taken)))
            {
                _complaint = settled ? null : _complaint;
                return;
            }

            byte[][] keys = KeysIn(_path!, found);
            _digests = [.. _given, .. keys];
            _taken = found;
            _complaint = null;
            _log?.LogInformation("{Origin:l} {Path} has changed: {Count} keys", _origin, _path, keys.Length);
        }
        catch (StartupException e)
        {
            if (_complaint != e.Message)
            {
                _complaint = e.Message;
                _log?.LogWarning("{Problem:l} The keys stay as they were.", e.Message);
            }
        }
        finally
        {
            _reading.Exit();
        }
    }

    private byte[] ReadAll(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            byte[] content = new byte[MostBytes + 1];
            int length = file.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
            return length <= MostBytes
                ? content[..length] : throw new StartupException($"{_origin} {path} is longer than {MostBytes >> 20} MiB.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"{_origin} {path} cannot be read: {e.Message}", e);
        }
    }

    /// <summary>One key a line; blank lines and lines that begin with # are passed over.</summary>
    private byte[][] KeysIn(string path, byte[] content)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(content);
        }
        catch (ArgumentException e)
        {
            throw new StartupException($"{_origin} {path} is not UTF-8 text.", e);
        }

        string[] keys =
            [.. text.TrimStart('\uFEFF').Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0 && line[0] != '#')];
        if (Array.Exists(keys, key => key.Length > LongestKey || key.Any(char.IsControl)))
        {
            throw new StartupException($"{_origin} {path} has a line that can be no key: longer than {LongestKey} characters, or "
                + "with control characters.");
        }

        return keys.Length > 0 ? [.. keys.Select(Digest)] : throw new StartupException($"{_origin} {path} holds no key.");
    }

    /// <summary>Digests have one length, whatever the keys': comparing them tells nothing about the keys.</summary>
    private static byte[] Digest(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
