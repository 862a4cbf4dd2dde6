using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary><c>GET /</c> and <c>GET /page/{file}</c>: the page, and what it is made of.</summary>
public static class PageEndpoint
{
    /// <summary>
    /// Everything from this server, nothing inline, nothing framed: what the page shows (answers of a model) can run no script.
    /// </summary>
    private const string Policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action "
            + "'none'; frame-ancestors 'none'";

    /// <summary>Caches keep the files and ask each time whether they still hold: a new build is seen at once.</summary>
    /// <exception cref="ApiException">404: there is no such file.</exception>
    public static Task InvokeAsync(HttpContext http)
    {
        string path = http.Request.Path.Value ?? "";
        PageFile file = PageFiles.At(path) ?? throw new ApiException(404, $"The page has no file {path}.");
        HttpResponse response = http.Response;
        response.Headers.ETag = file.Tag;
        response.Headers.CacheControl = "no-cache";
        response.Headers.ContentSecurityPolicy = Policy;
        response.Headers["Referrer-Policy"] = "no-referrer";
        if (http.Request.Headers.IfNoneMatch.ToString() is var held && (held == "*" || held.Contains(file.Tag, StringComparison.Ordinal)))
        {
            response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        response.ContentType = file.ContentType;
        response.ContentLength = file.Content.Length;
        return HttpMethods.IsHead(http.Request.Method) ? Task.CompletedTask : response.Body.WriteAsync(file.Content).AsTask();
    }
}
