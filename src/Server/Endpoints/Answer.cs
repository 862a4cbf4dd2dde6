using System.Buffers;
using System.Net.Mime;
using System.Text.Json;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>Bodies in and out.</summary>
public static class Answer
{
    /// <summary>Bytes of a refused body that are still read, so that the client sees the answer instead of a broken connection.</summary>
    private const long MostDiscarded = 256L << 20;

    public static async Task JsonAsync(HttpContext http, IJsonBody body)
    {
        var bytes = new ArrayBufferWriter<byte>(1024);
        Json.Write(bytes, body);
        http.Response.ContentType = "application/json; charset=utf-8";
        http.Response.ContentLength = bytes.WrittenCount;
        await http.Response.BodyWriter.WriteAsync(bytes.WrittenMemory, http.RequestAborted);
    }

    /// <summary>The whole body of a JSON request.</summary>
    /// <remarks>It counts as held until the request ends.</remarks>
    /// <exception cref="ApiException">
    /// 415: declared as something else, or packed in a way that is not read. 413: longer than <paramref name="limit"/> bytes, as it comes
    /// or unpacked. 400: its framing or packing is broken. 503: too many bodies arrive at once.
    /// </exception>
    public static async Task<ReadOnlyMemory<byte>> ReadBodyAsync(HttpContext http, long limit)
    {
        HttpRequest request = http.Request;
        // What curl -d declares where nobody says otherwise: taken where it is JSON all the same.
        bool form = request.ContentType?.StartsWith("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase) is true;
        if (!form && request.ContentType is { Length: > 0 } && !request.HasJsonContentType())
        {
            throw NotJson(request);
        }

        PackedBody.Check(request.Headers.ContentEncoding.ToString());
        // Kestrel takes what the client still sends, for a while, so that it sees the answer.
        if (request.ContentLength > limit)
        {
            throw TooLarge(limit);
        }

        BodyBudget.Share held = http.RequestServices.GetRequiredService<BodyBudget>().Open(http, limit);
        ReadOnlyMemory<byte> packed = await ReadAllAsync(http, limit, held);
        ReadOnlyMemory<byte> body = PackedBody.Unpack(packed, request.Headers.ContentEncoding.ToString(), limit, held)
            ?? throw TooLarge(limit);
        return !form || IsJson(body.Span) ? body : throw NotJson(request);
    }

    private static ApiException NotJson(HttpRequest request) => new(415,
        $"The body is declared as {request.ContentType}; send JSON with the header Content-Type: {MediaTypeNames.Application.Json}.");

    private static bool IsJson(ReadOnlySpan<byte> body)
    {
        var reader = new Utf8JsonReader(body);
        try
        {
            return reader.Read() && reader.TokenType == JsonTokenType.StartObject;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static async Task<ReadOnlyMemory<byte>> ReadAllAsync(HttpContext http, long limit, BodyBudget.Share held)
    {
        HttpRequest request = http.Request;
        // What is declared is not believed: memory is taken for bytes that have come.
        var body = new MemoryStream();
        byte[] buffer = new byte[16384];
        long total = 0;
        try
        {
            for (int read; (read = await request.Body.ReadAsync(buffer, http.RequestAborted)) > 0 && total <= MostDiscarded;)
            {
                total += read;
                if (total <= limit)
                {
                    held.Take(read);
                    body.Write(buffer, 0, read);
                }
            }
        }
        catch (IOException e) when (e is not BadHttpRequestException && !http.RequestAborted.IsCancellationRequested)
        {
            // What Kestrel says of a chunk whose size is no number that exists.
            throw new ApiException(400, $"The body cannot be read: {e.Message}");
        }

        return total <= limit ? body.GetBuffer().AsMemory(0, (int)body.Length) : throw TooLarge(limit);
    }

    private static ApiException TooLarge(long limit) =>
        new(413, $"The body is longer than {limit >> 20} MiB, which is the most that is read.");
}
