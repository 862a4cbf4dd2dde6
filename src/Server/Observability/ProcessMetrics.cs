using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Understory.Server.Observability;

/// <summary>
/// What the process takes of the machine, under the names that every Prometheus client library uses, and what build it is. Read when
/// somebody asks; nothing is recorded in between.
/// </summary>
public sealed class ProcessMetrics : IDisposable
{
    public const string MeterName = "Understory.Process";

    private readonly Meter _meter;

    /// <param name="scope">Tells the meters of several servers in one process apart.</param>
    public ProcessMetrics(object scope)
    {
        _meter = new Meter(MeterName, version: null, tags: null, scope: scope);
        using var process = Process.GetCurrentProcess();
        double started = new DateTimeOffset(process.StartTime.ToUniversalTime()).ToUnixTimeMilliseconds() / 1000.0;
        _meter.CreateObservableCounter("process_cpu_seconds_total", () =>
            Environment.CpuUsage.TotalTime.TotalSeconds, description: "Processor time used, user and system, in seconds.");
        _meter.CreateObservableGauge("process_resident_memory_bytes", () =>
            Environment.WorkingSet, description: "Resident memory, in bytes.");
        _meter.CreateObservableGauge("process_start_time_seconds", () =>
            started, description: "Start of the process, in seconds since the Unix epoch.");
        _meter.CreateObservableCounter("dotnet_gc_collections_total", Collections,
            description: "Garbage collections, by the oldest generation collected.");
        _meter.CreateObservableCounter("dotnet_gc_pause_seconds_total", () => GC.GetTotalPauseDuration().TotalSeconds,
            description: "Time that all threads stood still for the garbage collector, in seconds.");
        _meter.CreateObservableGauge("dotnet_gc_heap_bytes", () => GC.GetTotalMemory(forceFullCollection: false),
            description: "Managed memory in use, in bytes; weights and KV caches are not in it.");
        string version = typeof(ProcessMetrics).Assembly.GetName().Version?.ToString(3) ?? "";
        _meter.CreateObservableGauge(
            "understory_build_info",
            () => new Measurement<int>(1, new KeyValuePair<string, object?>("version", version),
                new("runtime", Environment.Version.ToString())),
            description: "Always 1; its labels name the version and the .NET runtime.");
    }

    public void Dispose() => _meter.Dispose();

    private static IEnumerable<Measurement<long>> Collections()
    {
        for (int generation = 0; generation <= GC.MaxGeneration; generation++)
        {
            // The runtime counts a collection under every generation that it includes.
            int older = generation < GC.MaxGeneration ? GC.CollectionCount(generation + 1) : 0;
            yield return new Measurement<long>(GC.CollectionCount(generation) - older,
                new KeyValuePair<string, object?>("generation", generation.ToString()));
        }
    }
}
