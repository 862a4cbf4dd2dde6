using System.Diagnostics;
using System.Diagnostics.Metrics;
using Understory.Decoding;
using Understory.Server.Observability;

namespace Understory.Server.Tests.Observability;

public sealed class MetricsExpositionTests : IDisposable
{
    private readonly Meter _meter;
    private readonly MetricsExposition _exposition;

    public MetricsExpositionTests()
    {
        _exposition = new MetricsExposition(meter => ReferenceEquals(meter.Scope, this));
        _meter = new Meter("Test", null, null, this);
    }

    public void Dispose()
    {
        _exposition.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public void Counters_add_up_per_label()
    {
        Counter<long> counter = _meter.CreateCounter<long>("understory_x_total", description: "Xs.");
        counter.Add(1, new KeyValuePair<string, object?>("kind", "a"));
        counter.Add(2, new KeyValuePair<string, object?>("kind", "a"));
        counter.Add(5, new KeyValuePair<string, object?>("kind", "b\"\\\n"));
        Assert.Equal(
            """
            # HELP understory_x_total Xs.
            # TYPE understory_x_total counter
            understory_x_total{kind="a"} 3
            understory_x_total{kind="b\"\\\n"} 5

            """.ReplaceLineEndings("\n"),
            _exposition.Render());
    }

    [Fact]
    public void Histograms_have_cumulative_buckets_that_end_at_infinity()
    {
        Histogram<double> histogram = _meter.CreateHistogram(
            "understory_x_seconds", null, "Xs.", null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1] });
        foreach (double value in (double[])[0.25, 0.5, 0.75, 2])
        {
            histogram.Record(value);
        }

        Assert.Equal(
            """
            # HELP understory_x_seconds Xs.
            # TYPE understory_x_seconds histogram
            understory_x_seconds_bucket{le="0.5"} 2
            understory_x_seconds_bucket{le="1"} 3
            understory_x_seconds_bucket{le="+Inf"} 4
            understory_x_seconds_sum 3.5
            understory_x_seconds_count 4

            """.ReplaceLineEndings("\n"),
            _exposition.Render());
    }

    [Fact]
    public void Gauges_are_read_when_they_are_asked_for()
    {
        int depth = 1;
        _meter.CreateObservableGauge("understory_depth", () => depth, description: "Depth.");
        Assert.Contains("\nunderstory_depth 1\n", _exposition.Render());
        depth = 7;
        Assert.Contains("\nunderstory_depth 7\n", _exposition.Render());
    }

    [Fact]
    public void Other_servers_meters_are_not_heard()
    {
        using var other = new Meter("Test", null, null, new object());
        other.CreateCounter<long>("understory_other_total").Add(1);
        Assert.DoesNotContain("other", _exposition.Render());
    }

    [Fact]
    public void Measuring_allocates_nothing_once_a_series_exists()
    {
        Histogram<double> histogram = _meter.CreateHistogram(
            "understory_y_seconds", null, "Ys.", null, new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.5, 1] });
        var tag = new KeyValuePair<string, object?>("model", "target");
        for (int i = 0; i < 1000; i++)
        {
            histogram.Record(i, tag);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            histogram.Record(i, tag);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [PromtoolFact]
    public async Task Promtool_finds_nothing_to_complain_about()
    {
        using var metrics = new ServerMetrics(this, () => 1, () => 0, 64, () => 2, () => ("demo", "reference"));
        using var process = new ProcessMetrics(this);
        metrics.Zero();
        metrics.Answered("/v1/completions", 200);
        metrics.Waited(TimeSpan.FromMilliseconds(1));
        metrics.FirstToken(TimeSpan.FromMilliseconds(1));
        metrics.Tokens(3, TimeSpan.FromMilliseconds(1));
        metrics.Finished(TimeSpan.FromMilliseconds(1));
        metrics.Prompt(3, 1);
        metrics.Step(new StepReport(2, 5, 0, 0.01, 2, 0.001, 0.02), 2);
        metrics.Stage("draft", 5, 1);

        var start = new ProcessStartInfo("promtool", ["check", "metrics"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process promtool = Process.Start(start)!;
        await promtool.StandardInput.WriteAsync(_exposition.Render());
        promtool.StandardInput.Close();
        string complaints = await promtool.StandardOutput.ReadToEndAsync() + await promtool.StandardError.ReadToEndAsync();
        await promtool.WaitForExitAsync();
        Assert.Equal("", complaints);
        Assert.Equal(0, promtool.ExitCode);
    }
}

/// <summary>Needs promtool, which comes with Prometheus.</summary>
public sealed class PromtoolFactAttribute : FactAttribute
{
    public PromtoolFactAttribute()
    {
        if (!Tools.Has("promtool"))
        {
            Skip = "promtool is not installed (Debian package prometheus).";
        }
    }
}
