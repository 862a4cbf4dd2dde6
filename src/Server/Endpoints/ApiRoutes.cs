using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Understory.Server.Anthropic;
using Understory.Server.Contract;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>
/// Maps operations to what answers them. Nothing is mapped that is not described, so the OpenAPI document names every endpoint there is:
/// a new one is an <see cref="ApiOperation"/> and one call of <see cref="Map"/>.
/// </summary>
public sealed class ApiRoutes
{
    private readonly IEndpointRouteBuilder _app;
    private readonly List<ApiOperation> _operations = [];
    private readonly Lazy<byte[]> _document;

    /// <param name="keyed">Requests need a key.</param>
    public ApiRoutes(IEndpointRouteBuilder app, bool keyed)
    {
        _app = app;
        var options =
            new JsonSerializerOptions(Json.Style)
            {
                TypeInfoResolver = JsonTypeInfoResolver.Combine(ErrorJson.Context, OpenAiJson.Context, AnthropicJson.Context),
            };
        _document = new(() => OpenApiDocument.Write(_operations, options, typeof(ApiErrorBody), Version, keyed));
        Map(Operations.OpenApi, ShowDocumentAsync);
    }

    /// <summary>Every path there is, as OpenAPI writes it.</summary>
    public IEnumerable<string> Paths => _operations.Select(operation => OpenApiDocument.PathOf(operation.Route)).Distinct();

    /// <summary>The program's version.</summary>
    public static string Version { get; } =
        typeof(ApiRoutes).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";

    /// <summary>All operations must be mapped before the first request.</summary>
    public void Map(ApiOperation operation, RequestDelegate handler)
    {
        _operations.Add(operation);
        string[] methods = operation.Method == HttpMethods.Get ? [HttpMethods.Get, HttpMethods.Head] : [operation.Method];
        _app.MapMethods(operation.Route, methods, handler);
    }

    private async Task ShowDocumentAsync(HttpContext http)
    {
        http.Response.ContentType = "application/json; charset=utf-8";
        http.Response.ContentLength = _document.Value.Length;
        await http.Response.BodyWriter.WriteAsync(_document.Value, http.RequestAborted);
    }
}
