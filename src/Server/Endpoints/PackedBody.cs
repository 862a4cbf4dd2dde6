using System.IO.Compression;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>Bodies with a <c>Content-Encoding</c> (RFC 9110, section 8.4): gzip, deflate and br are read.</summary>
internal static class PackedBody
{
    /// <exception cref="ApiException">415: an encoding that is not read.</exception>
    public static void Check(string encoding)
    {
        if (encoding.Trim().ToLowerInvariant() is not ("" or "identity" or "gzip" or "x-gzip" or "deflate" or "br"))
        {
            throw new ApiException(415, $"The body is packed as {encoding}; send it as gzip, deflate or br, or as it is.");
        }
    }

    /// <returns>Null: it is longer than <paramref name="limit"/> bytes.</returns>
    /// <exception cref="ApiException">400: it is not packed so. 503: all bodies together are too long.</exception>
    public static ReadOnlyMemory<byte>? Unpack(ReadOnlyMemory<byte> body, string encoding, long limit, BodyBudget.Share held)
    {
        Stream Packed() => new MemoryStream(body.ToArray());
        using Stream? source = encoding.Trim().ToLowerInvariant() switch
        {
            "gzip" or "x-gzip" => new GZipStream(Packed(), CompressionMode.Decompress),
            "deflate" => new ZLibStream(Packed(), CompressionMode.Decompress),
            "br" => new BrotliStream(Packed(), CompressionMode.Decompress),
            _ => null,
        };
        if (source is null)
        {
            return body;
        }

        var unpacked = new MemoryStream();
        byte[] buffer = new byte[16384];
        try
        {
            for (int read; (read = source.Read(buffer)) > 0;)
            {
                if (unpacked.Length + read > limit)
                {
                    return null;
                }

                held.Take(read);
                unpacked.Write(buffer, 0, read);
            }
        }
        catch (Exception e) when (e is InvalidDataException or InvalidOperationException)
        {
            throw new ApiException(400, $"The body is declared as {encoding}, but cannot be unpacked so.");
        }

        return unpacked.GetBuffer().AsMemory(0, (int)unpacked.Length);
    }
}
