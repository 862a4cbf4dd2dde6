using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace Understory.Server.Observability;

/// <summary>
/// Listens to meters and writes what they measured in the text format of Prometheus (version 0.0.4). An instrument's name is the metric's
/// name; at most three labels, whose values are strings. Measuring takes one uncontended lock and allocates nothing once a series exists.
/// </summary>
public sealed class MetricsExposition : IDisposable
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly MeterListener _listener = new();
    private readonly SortedDictionary<string, Family> _families = new(StringComparer.Ordinal);

    public MetricsExposition(Func<Meter, bool> wanted)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (wanted(instrument.Meter))
            {
                lock (_families)
                {
                    if (!_families.TryGetValue(instrument.Name, out Family? family))
                    {
                        _families[instrument.Name] = family = Family.Of(instrument);
                    }

                    listener.EnableMeasurementEvents(instrument, family);
                }
            }
        };
        _listener.SetMeasurementEventCallback<double>((_, value, tags, state) => ((Family)state!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, state) => ((Family)state!).Measure(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, state) => ((Family)state!).Measure(value, tags));
        _listener.Start();
    }

    /// <summary>All families, by name.</summary>
    public string Render()
    {
        _listener.RecordObservableInstruments();
        var text = new StringBuilder();
        lock (_families)
        {
            foreach (Family family in _families.Values)
            {
                family.Render(text);
            }
        }

        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private enum Kind
    {
        Counter,
        Gauge,
        Histogram,
    }

    private sealed class Series
    {
        public double Value;
        public long Count;
        public long[] Buckets = [];
    }

    /// <param name="absolute">A measurement is the value itself, not something to add.</param>
    private sealed class Family(string name, string help, Kind kind, bool absolute, double[] bounds)
    {
        private readonly Dictionary<(string?, string?, string?), Series> _series = [];
        private string[] _labels = [];

        public static Family Of(Instrument instrument)
        {
            Type type = instrument.GetType().GetGenericTypeDefinition();
            (Kind kind, bool absolute) = type == typeof(Histogram<>) ? (Kind.Histogram, false)
                : type == typeof(Counter<>) ? (Kind.Counter, false)
                : type == typeof(ObservableCounter<>) ? (Kind.Counter, true)
                : type == typeof(UpDownCounter<>) ? (Kind.Gauge, false)
                : (Kind.Gauge, true);
            double[] bounds = instrument switch
            {
                Histogram<double> { Advice.HistogramBucketBoundaries: { } given } => [.. given],
                Histogram<long> { Advice.HistogramBucketBoundaries: { } given } => [.. given.Select(bound => (double)bound)],
                Histogram<int> { Advice.HistogramBucketBoundaries: { } given } => [.. given.Select(bound => (double)bound)],
                _ => [],
            };
            return new Family(instrument.Name, instrument.Description ?? instrument.Name, kind, absolute, bounds);
        }

        public void Measure(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            lock (_series)
            {
                var key = (Label(tags, 0), Label(tags, 1), Label(tags, 2));
                if (!_series.TryGetValue(key, out Series? series))
                {
                    if (_labels.Length < tags.Length)
                    {
                        _labels = [.. tags.ToArray().Select(tag => tag.Key)];
                    }

                    _series[key] = series = new Series { Buckets = new long[bounds.Length] };
                }

                series.Value = absolute ? value : series.Value + value;
                if (kind == Kind.Histogram)
                {
                    series.Count++;
                    for (int i = 0; i < bounds.Length; i++)
                    {
                        if (value <= bounds[i])
                        {
                            series.Buckets[i]++;
                        }
                    }
                }
            }
        }

        public void Render(StringBuilder text)
        {
            lock (_series)
            {
                if (_series.Count == 0)
                {
                    return;
                }

                text.Append("# HELP ").Append(name).Append(' ').Append(help.Replace("\\", "\\\\").Replace("\n", "\\n")).Append('\n');
                text.Append("# TYPE ").Append(name).Append(' ').Append(kind.ToString().ToLowerInvariant()).Append('\n');
                foreach (var (key, series) in _series.OrderBy(pair => pair.Key))
                {
                    string labels = Labels(key);
                    if (kind != Kind.Histogram)
                    {
                        Line(text, name, "", labels, series.Value);
                        continue;
                    }

                    for (int i = 0; i < bounds.Length; i++)
                    {
                        Line(text, name, "_bucket", Join(labels, $"le=\"{Number(bounds[i])}\""), series.Buckets[i]);
                    }

                    Line(text, name, "_bucket", Join(labels, "le=\"+Inf\""), series.Count);
                    Line(text, name, "_sum", labels, series.Value);
                    Line(text, name, "_count", labels, series.Count);
                }
            }
        }

        private static string? Label(ReadOnlySpan<KeyValuePair<string, object?>> tags, int index) =>
            index >= tags.Length ? null : tags[index].Value as string ?? tags[index].Value?.ToString();

        private string Labels((string?, string?, string?) key)
        {
            string?[] values = [key.Item1, key.Item2, key.Item3];
            return string.Join(',', _labels.Zip(values, (label, value) =>
                $"{label}=\"{(value ?? "").Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", "\\n")}\""));
        }

        private static string Join(string labels, string last) => labels.Length == 0 ? last : $"{labels},{last}";

        private static void Line(StringBuilder text, string name, string suffix, string labels, double value)
        {
            text.Append(name).Append(suffix);
            if (labels.Length > 0)
            {
                text.Append('{').Append(labels).Append('}');
            }

            text.Append(' ').Append(Number(value)).Append('\n');
        }

        private static string Number(double value) =>
            double.IsPositiveInfinity(value) ? "+Inf"
            : double.IsNegativeInfinity(value) ? "-Inf"
            : value.ToString("R", CultureInfo.InvariantCulture);
    }
}
