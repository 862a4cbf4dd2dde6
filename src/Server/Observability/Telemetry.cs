using System.Collections;
using System.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Understory.Server.Observability;

/// <summary>
/// Spans and metrics, sent by OTLP to a collector where one is configured: by <c>--otlp-endpoint</c>, or by the variables that
/// OpenTelemetry defines (<c>OTEL_EXPORTER_OTLP_ENDPOINT</c> and its kin; headers, sampling, resource attributes and intervals are theirs
/// in any case). Without one nothing listens, and nothing is made that somebody could listen to. A request to the API is a span of ASP.NET
/// Core's, under its caller's where the request names one.
/// </summary>
public static class Telemetry
{
    /// <summary>Of the spans beneath a request's. Costs a comparison where nobody listens.</summary>
    public static readonly ActivitySource Source = new("Understory.Server");

    private const string Prefix = "OTEL_EXPORTER_OTLP_";
    private const int GrpcPort = 4317;

    private static readonly string[] _addresses = ["ENDPOINT", "TRACES_ENDPOINT", "METRICS_ENDPOINT"];

    /// <summary>Adds the export to a server, which sends what has not been sent yet when it is disposed.</summary>
    /// <param name="endpoint">Base address of the collector; null: what the environment says.</param>
    /// <param name="describe">Is given the span of each request to the API once it has been answered.</param>
    public static void Add(WebApplicationBuilder server, Uri? endpoint, Action<Activity, HttpContext> describe)
    {
        bool disabled = string.Equals(Variable("OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase);
        if (disabled || (endpoint is null && _addresses.All(name => Variable(Prefix + name) is null)))
        {
            return;
        }

        // The library reads its variables from the server's settings, which hold none of the environment.
        server.Configuration.AddInMemoryCollection(
            from DictionaryEntry variable in Environment.GetEnvironmentVariables()
            where ((string)variable.Key).StartsWith("OTEL_", StringComparison.Ordinal)
            select KeyValuePair.Create((string)variable.Key, (string?)variable.Value));
        IOpenTelemetryBuilder telemetry = server.Services.AddOpenTelemetry().ConfigureResource(resource => resource.Clear()
            .AddService("understory", serviceVersion: typeof(Telemetry).Assembly.GetName().Version?.ToString(3))
            .AddTelemetrySdk()
            .AddEnvironmentVariableDetector());
        if (Exporting("TRACES"))
        {
            telemetry.WithTracing(traces => traces
                .AddAspNetCoreInstrumentation(requests =>
                {
                    requests.Filter = http => http.Request.Path.StartsWithSegments("/v1");
                    requests.EnrichWithHttpResponse = (span, response) => describe(span, response.HttpContext);
                })
                .AddSource(Source.Name)
                .AddOtlpExporter(exporter => Aim(exporter, endpoint, "v1/traces")));
        }

        if (Exporting("METRICS"))
        {
            telemetry.WithMetrics(metrics => metrics
                .AddMeter(ServerMetrics.MeterName, ProcessMetrics.MeterName)
                .AddOtlpExporter(exporter => Aim(exporter, endpoint, "v1/metrics")));
        }
    }

    private static bool Exporting(string signal) => Variable($"OTEL_{signal}_EXPORTER") is not "none";

    /// <summary>The library's default is gRPC; the specification's, and that of most collectors' addresses, is HTTP.</summary>
    private static void Aim(OtlpExporterOptions exporter, Uri? endpoint, string path)
    {
        Uri? address = endpoint ?? (Uri.TryCreate(Variable(Prefix + "ENDPOINT"), UriKind.Absolute, out Uri? given) ? given : null);
        if (Variable(Prefix + "PROTOCOL") is null)
        {
            exporter.Protocol = address?.Port == GrpcPort ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
        }

        if (endpoint is not null)
        {
            exporter.Endpoint = exporter.Protocol == OtlpExportProtocol.Grpc
                ? endpoint : new Uri(endpoint.AbsoluteUri.TrimEnd('/') + "/" + path);
        }
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
