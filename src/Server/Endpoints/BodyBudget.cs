using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>
/// Bytes of bodies that all requests of a server together may hold until they are answered; a single one may have as many as the options
/// say. What is made of a body (its text, its tokens) takes some ten times as much.
/// </summary>
public sealed class BodyBudget
{
    public const long MostAtOnce = 64L << 20;

    private long _held;

    /// <summary>What all requests hold.</summary>
    public long Held => Interlocked.Read(ref _held);

    /// <summary>A request's share, until the request ends.</summary>
    /// <param name="limit">Bytes that it may have; two such requests may always come at once.</param>
    public Share Open(HttpContext http, long limit)
    {
        var share = new Share(this, Math.Max(MostAtOnce, 2 * limit));
        http.Response.RegisterForDispose(share);
        return share;
    }

    /// <summary>What one request holds.</summary>
    public sealed class Share(BodyBudget budget, long most) : IDisposable
    {
        private long _bytes;

        /// <exception cref="ApiException">503: all of them would hold too much.</exception>
        public void Take(long bytes)
        {
            _bytes += bytes;
            if (Interlocked.Add(ref budget._held, bytes) > most)
            {
                throw ApiException.Unavailable("Too many large requests arrive at once; try again later.", "overloaded");
            }
        }

        public void Dispose() => Interlocked.Add(ref budget._held, -Interlocked.Exchange(ref _bytes, 0));
    }
}
