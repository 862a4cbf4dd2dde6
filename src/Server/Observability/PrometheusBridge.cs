using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Net.Http.Headers;
using Prometheus;

namespace Understory.Server.Observability;

/// <summary>
/// Listens to meters and keeps what they measured as collectors of a Prometheus registry of its own. An instrument's name is the metric's
/// name; its labels are those of its first measurement, at most three. Measuring allocates nothing once a series exists, unless a trace is
/// being recorded, whose id then goes with the value as an exemplar.
/// </summary>
public sealed class PrometheusBridge : IDisposable
{
    private const string TextType = "text/plain";
    private const string OpenMetricsType = "application/openmetrics-text";
    private const string TextVersion = "; version=0.0.4; charset=utf-8";
    private const string OpenMetricsVersion = "; version=1.0.0; charset=utf-8";

    private readonly MeterListener _listener = new();
    private readonly CollectorRegistry _registry = Metrics.NewCustomRegistry();

    public PrometheusBridge(Func<Meter, bool> wanted)
    {
        MetricFactory factory = Metrics.WithCustomRegistry(_registry);
        factory.ExemplarBehavior = new ExemplarBehavior
        {
            DefaultExemplarProvider = (_, _) => Activity.Current is { Recorded: true } ? Exemplar.FromTraceContext() : Exemplar.None,
            NewExemplarMinInterval = TimeSpan.FromSeconds(1),
        };
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (wanted(instrument.Meter))
            {
                listener.EnableMeasurementEvents(instrument, new Family(factory, instrument));
            }
        };
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => ((Family)state!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => ((Family)state!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => ((Family)state!).Measure(value, tags));
        _listener.Start();
    }

    /// <summary>Writes all metrics: OpenMetrics 1.0 where <paramref name="accept"/> prefers it, else the text format 0.0.4.</summary>
    /// <param name="accept">Values of the request's header Accept.</param>
    /// <param name="begin">Is told the content type before the first byte.</param>
    public Task WriteAsync(Stream stream, IList<string?> accept, Action<string> begin)
    {
        bool open = PrefersOpenMetrics(accept);
        begin(open ? OpenMetricsType + OpenMetricsVersion : TextType + TextVersion);
        _listener.RecordObservableInstruments();
        return _registry.CollectAndExportAsTextAsync(stream, open ? ExpositionFormat.OpenMetricsText : ExpositionFormat.PrometheusText);
    }

    public void Dispose() => _listener.Dispose();

    private static bool PrefersOpenMetrics(IList<string?> accept)
    {
        IList<MediaTypeHeaderValue> types = MediaTypeHeaderValue.TryParseList([.. accept.OfType<string>()], out var parsed) ? parsed : [];
        double Quality(string type) => types.Where(t => t.MediaType == type).Select(t => t.Quality ?? 1).DefaultIfEmpty(0).Max();
        return Quality(OpenMetricsType) is var open and > 0 && open >= Quality(TextType);
    }

    /// <summary>
    /// One instrument: its collector, made at the first measurement, and for each set of label values the delegate that takes a value.
    /// </summary>
    private sealed class Family(MetricFactory factory, Instrument instrument)
    {
        private readonly ConcurrentDictionary<(string?, string?, string?), Action<double>> _series = [];
        private Func<string[], Action<double>>? _collector;
        private int _labels;

        public void Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var key = (Label(tags, 0), Label(tags, 1), Label(tags, 2));
            if (!_series.TryGetValue(key, out Action<double>? take))
            {
                take = Add(key, tags);
            }

            take(value);
        }

        private Action<double> Add((string?, string?, string?) key, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            lock (_series)
            {
                if (_collector is null)
                {
                    string[] names = [.. tags.ToArray().Select(tag => tag.Key)];
                    _labels = names.Length;
                    _collector = Collector(names);
                }

                string?[] values = [key.Item1, key.Item2, key.Item3];
                return _series.GetOrAdd(key, _collector([.. values.Take(_labels).Select(label => label ?? "")]));
            }
        }

        private Func<string[], Action<double>> Collector(string[] labels)
        {
            string name = instrument.Name;
            string help = instrument.Description ?? name;
            Type type = instrument.GetType().GetGenericTypeDefinition();
            if (type == typeof(Histogram<>))
            {
                double[] bounds = instrument is Histogram<double> { Advice.HistogramBucketBoundaries: { } given } ? [.. given] : [];
                Histogram histogram = factory.CreateHistogram(name, help, labels, new HistogramConfiguration { Buckets = bounds });
                return values => histogram.WithLabels(values).Observe;
            }

            if (type == typeof(Counter<>) || type == typeof(ObservableCounter<>))
            {
                Counter counter = factory.CreateCounter(name, help, labels);
                return type == typeof(Counter<>) ? values => counter.WithLabels(values).Inc : values => counter.WithLabels(values).IncTo;
            }

            Gauge gauge = factory.CreateGauge(name, help, labels);
            return type == typeof(UpDownCounter<>) ? values => gauge.WithLabels(values).Inc : values => gauge.WithLabels(values).Set;
        }

        private static string? Label(ReadOnlySpan<KeyValuePair<string, object?>> tags, int index) =>
            index >= tags.Length ? null : tags[index].Value as string ?? tags[index].Value?.ToString();
    }
}
