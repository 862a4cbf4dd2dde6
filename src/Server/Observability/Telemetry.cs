using System.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Understory.Server.Observability;

/// <summary>
/// Spans and metrics, sent by OTLP to a collector where one is configured: by <c>--otlp-endpoint</c>, or by the variables that OpenTelemetry
/// defines (<c>OTEL_EXPORTER_OTLP_ENDPOINT</c> and its kin; headers, sampling, resource attributes and intervals are theirs in any case).
/// Without one nothing listens, and nothing is made that somebody could listen to.
/// </summary>
public sealed class Telemetry : IDisposable
{
    /// <summary>Of all spans. Costs a comparison where nobody listens.</summary>
    public static readonly ActivitySource Source = new("Understory.Server");

    private const string Prefix = "OTEL_EXPORTER_OTLP_";
    private const int GrpcPort = 4317;

    private static readonly string[] _addresses = ["ENDPOINT", "TRACES_ENDPOINT", "METRICS_ENDPOINT"];

    private readonly TracerProvider? _traces;
    private readonly MeterProvider? _metrics;

    private Telemetry(Uri? endpoint)
    {
        _traces = Exporting("TRACES") ? Sdk.CreateTracerProviderBuilder()
            .SetResourceBuilder(Describe())
            .AddSource(Source.Name)
            .AddOtlpExporter(exporter => Aim(exporter, endpoint, "v1/traces"))
            .Build() : null;
        _metrics = Exporting("METRICS") ? Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(Describe())
            .AddMeter(ServerMetrics.MeterName, ProcessMetrics.MeterName)
            .AddOtlpExporter(exporter => Aim(exporter, endpoint, "v1/metrics"))
            .Build() : null;
    }

    /// <param name="endpoint">Base address of the collector; null: what the environment says.</param>
    /// <returns>Null: no collector is configured, or <c>OTEL_SDK_DISABLED</c> is true.</returns>
    public static Telemetry? Start(Uri? endpoint)
    {
        bool disabled = string.Equals(Variable("OTEL_SDK_DISABLED"), "true", StringComparison.OrdinalIgnoreCase);
        bool configured = endpoint is not null
            || _addresses.Any(name => Variable(Prefix + name) is not null);
        return configured && !disabled ? new Telemetry(endpoint) : null;
    }

    /// <summary>Sends what has not been sent yet.</summary>
    public void Dispose()
    {
        _traces?.Dispose();
        _metrics?.Dispose();
    }

    private static bool Exporting(string signal) => Variable($"OTEL_{signal}_EXPORTER") is not "none";

    private static ResourceBuilder Describe() => ResourceBuilder.CreateEmpty()
        .AddService("understory", serviceVersion: typeof(Telemetry).Assembly.GetName().Version?.ToString(3))
        .AddTelemetrySdk()
        .AddEnvironmentVariableDetector();

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
            exporter.Endpoint = exporter.Protocol == OtlpExportProtocol.Grpc ? endpoint : new Uri(endpoint.AbsoluteUri.TrimEnd('/') + "/" + path);
        }
    }

    private static string? Variable(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
