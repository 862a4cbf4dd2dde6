using System.Net.Sockets;
using System.Text;

namespace Understory.Server.Tests;

/// <summary>A bare TCP connection: for requests that no HTTP client would send.</summary>
internal sealed class RawConnection : IDisposable
{
    private readonly Socket _socket;

    private RawConnection(Socket socket) => _socket = socket;

    /// <param name="receiveBuffer">Bytes that the machine takes for a client that does not read; null: its own choice.</param>
    public static async Task<RawConnection> OpenAsync(Uri server, int? receiveBuffer = null)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (receiveBuffer is { } bytes)
        {
            socket.ReceiveBufferSize = bytes;
        }

        await socket.ConnectAsync(server.Host, server.Port);
        return new RawConnection(socket);
    }

    /// <summary>Sends a request and reads until the server closes.</summary>
    public static async Task<string> ExchangeAsync(Uri server, string request)
    {
        using RawConnection connection = await OpenAsync(server);
        await connection.SendAsync(request);
        return await connection.ReadToEndAsync();
    }

    public static string Post(string path, string body, string more = "") =>
        $"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
            + $"{Encoding.UTF8.GetByteCount(body)}\r\n{more}\r\n{body}";

    public Task SendAsync(string text) => SendAsync(Encoding.Latin1.GetBytes(text));

    /// <summary>Sends what the server still takes; one that has hung up is no error.</summary>
    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            while (bytes.Length > 0)
            {
                bytes = bytes[await _socket.SendAsync(bytes)..];
            }
        }
        catch (SocketException)
        {
        }
    }

    /// <summary>Up to <paramref name="most"/> bytes, as they come.</summary>
    public async Task<string> ReadAsync(int most = int.MaxValue)
    {
        var read = new StringBuilder();
        byte[] buffer = new byte[16384];
        try
        {
            while (read.Length < most)
            {
                int count = await _socket.ReceiveAsync(buffer.AsMemory(0, Math.Min(buffer.Length, most - read.Length))).AsTask()
                    .WaitAsync(TimeSpan.FromMinutes(3));
                if (count == 0)
                {
                    break;
                }

                read.Append(Encoding.Latin1.GetString(buffer, 0, count));
            }
        }
        catch (SocketException)
        {
        }

        return read.ToString();
    }

    public Task<string> ReadToEndAsync() => ReadAsync();

    /// <summary>Hangs up with a reset: what was on its way is lost.</summary>
    public void Reset()
    {
        _socket.LingerState = new LingerOption(true, 0);
        _socket.Dispose();
    }

    public void Dispose() => _socket.Dispose();
}
