using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text;
using Understory.Decoding;
using Understory.Server.Observability;

namespace Understory.Server.Tests.Observability;

public sealed class PrometheusBridgeTests : IDisposable
{
    private readonly Meter _meter;
    private readonly PrometheusBridge _bridge;

    public PrometheusBridgeTests()
    {
        _bridge = new PrometheusBridge(meter => ReferenceEquals(meter.Scope, this));
        _meter = new Meter("Test", null, null, this);
    }

    public void Dispose()
    {
        _bridge.Dispose();
        _meter.Dispose();
    }

    [Fact]
    public async Task Counters_add_up_per_label()
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
            await RenderAsync());
    }

    [Fact]
    public async Task Histograms_have_cumulative_buckets_that_end_at_infinity()
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
            understory_x_seconds_sum 3.5
            understory_x_seconds_count 4
            understory_x_seconds_bucket{le="0.5"} 2
            understory_x_seconds_bucket{le="1"} 3
            understory_x_seconds_bucket{le="+Inf"} 4

            """.ReplaceLineEndings("\n"),
            await RenderAsync());
    }

    [Fact]
    public async Task Gauges_are_read_when_they_are_asked_for()
    {
        int depth = 1;
        _meter.CreateObservableGauge("understory_depth", () => depth, description: "Depth.");
        Assert.Contains("\nunderstory_depth 1\n", await RenderAsync());
        depth = 7;
        Assert.Contains("\nunderstory_depth 7\n", await RenderAsync());
    }

    [Fact]
    public async Task Other_servers_meters_are_not_heard()
    {
        using var other = new Meter("Test", null, null, new object());
        other.CreateCounter<long>("understory_other_total").Add(1);
        Assert.DoesNotContain("other", await RenderAsync());
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

    [Theory]
    [InlineData("", "text/plain")]
    [InlineData("*/*", "text/plain")]
    [InlineData("text/html, application/xml;q=0.9", "text/plain")]
    [InlineData("not a type at all;;", "text/plain")]
    [InlineData("application/openmetrics-text;q=0", "text/plain")]
    [InlineData("application/openmetrics-text;version=1.0.0;q=0.3, text/plain;version=0.0.4;q=0.5", "text/plain")]
    [InlineData("application/openmetrics-text", "application/openmetrics-text")]
    [InlineData("application/openmetrics-text;version=1.0.0;q=0.5, application/openmetrics-text;version=0.0.1;q=0.4, "
        + "text/plain;version=0.0.4;q=0.3, */*;q=0.2",
        "application/openmetrics-text")]
    public async Task Accept_chooses_between_the_text_format_and_OpenMetrics(string accept, string expected)
    {
        _meter.CreateCounter<long>("understory_x_total", description: "Xs.").Add(1);
        string text = await RenderAsync(accept, type => Assert.StartsWith(expected + ";", type));
        // OpenMetrics names a counter's family without the suffix.
        Assert.Contains(expected == "text/plain" ? "# TYPE understory_x_total counter" : "# TYPE understory_x counter", text);
        Assert.Equal(expected != "text/plain", text.EndsWith("# EOF\n", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_recorded_trace_s_id_goes_with_the_value_as_an_exemplar_and_others_do_not()
    {
        Counter<long> counter = _meter.CreateCounter<long>("understory_x_total", description: "Xs.");
        using (Activity unrecorded = new Activity("x").Start())
        {
            counter.Add(1);
            Assert.DoesNotContain(unrecorded.TraceId.ToString(), await RenderAsync("application/openmetrics-text"));
        }

        using Activity recorded = new Activity("x") { ActivityTraceFlags = ActivityTraceFlags.Recorded }.Start();
        counter.Add(1);
        string exemplar = $"understory_x_total 2.0 # {{trace_id=\"{recorded.TraceId}\",span_id=\"{recorded.SpanId}\"}} 1.0";
        Assert.Contains(exemplar, await RenderAsync("application/openmetrics-text"));
        Assert.DoesNotContain("trace_id", await RenderAsync());
    }

    [Fact]
    public void The_package_is_named_in_one_file_alone()
    {
        string[] files =
        [
            .. Directory.EnumerateFiles(Path.Combine(Tools.Root, "src"), "*.cs", SearchOption.AllDirectories)
                .Where(file => !file.Contains($"{Path.DirectorySeparatorChar}obj{Path.DirectorySeparatorChar}", StringComparison.Ordinal))
                .Where(file => File.ReadAllText(file).Contains("using Prometheus", StringComparison.Ordinal)),
        ];
        Assert.Equal("PrometheusBridge.cs", Path.GetFileName(Assert.Single(files)));
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

        var start = new ProcessStartInfo("promtool", ["check", "metrics"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        };
        using Process promtool = Process.Start(start)!;
        await promtool.StandardInput.WriteAsync(await RenderAsync());
        promtool.StandardInput.Close();
        string complaints = await promtool.StandardOutput.ReadToEndAsync() + await promtool.StandardError.ReadToEndAsync();
        await promtool.WaitForExitAsync();
        Assert.Equal("", complaints);
        Assert.Equal(0, promtool.ExitCode);
    }

    private async Task<string> RenderAsync(string accept = "", Action<string>? begin = null)
    {
        using var stream = new MemoryStream();
        await _bridge.WriteAsync(stream, [accept], begin ?? (_ => { }));
        return Encoding.UTF8.GetString(stream.ToArray());
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
