using Serilog;
using Serilog.Core;
using Serilog.Events;
using Understory.Server.Observability;

namespace Understory.Server.Tests.Observability;

public sealed class LogThinningTests : IDisposable
{
    private readonly ManualClock _clock = new();
    private readonly LogLines _lines = new();
    private readonly Logger _log;

    public LogThinningTests() => _log = new LoggerConfiguration().WriteTo.Sink(new LogThinning(_lines, _clock)).CreateLogger();

    public void Dispose() => _log.Dispose();

    private void EndMinute() => _clock.Ring(TimeSpan.FromMinutes(1));

    private void Refuse(int times, string endpoint = "/v1/completions", int status = 429)
    {
        for (int i = 0; i < times; i++)
        {
            _log.Warning("{Id:l} {Endpoint:l} {Status} {Code:l}", $"req_{i}", endpoint, status, "queue_full");
        }
    }

    [Fact]
    public void Of_a_flood_the_first_lines_of_a_minute_pass_and_one_says_how_many_more_there_were()
    {
        Refuse(124_000);
        Assert.Equal(LogThinning.Most, _lines.Texts.Length);
        EndMinute();
        Assert.Equal("123980 more of these in a minute: /v1/completions 429 queue_full", _lines.Texts[LogThinning.Most..].Single());
        Assert.Equal(LogEventLevel.Warning, _lines.Events[^1].Level);
    }

    [Fact]
    public void The_next_minute_counts_anew_and_a_quiet_one_says_nothing()
    {
        Refuse(LogThinning.Most + 1);
        EndMinute();
        Refuse(LogThinning.Most);
        EndMinute();
        EndMinute();
        Assert.Equal((2 * LogThinning.Most) + 1, _lines.Texts.Length);
        Assert.Equal("1 more of these in a minute: /v1/completions 429 queue_full", _lines.Texts[LogThinning.Most]);
    }

    [Fact]
    public void A_flood_of_one_kind_hides_no_line_of_another()
    {
        Refuse(100);
        Refuse(1, endpoint: "/v1/chat/completions");
        Refuse(1, status: 400);
        _log.Information("Shutting down");
        Assert.Equal(
            ["req_0 /v1/chat/completions 429 queue_full", "req_0 /v1/completions 400 queue_full", "Shutting down"],
            _lines.Texts[LogThinning.Most..]);
    }

    [Fact]
    public void Answers_with_figures_all_have_their_lines()
    {
        for (int i = 0; i < 100; i++)
        {
            _log.Information("{Id:l} {Endpoint:l} {Status}: {GeneratedTokens} tokens", $"req_{i}", "/v1/completions", 200, 7);
        }

        Assert.Equal(100, _lines.Texts.Length);
    }

    [Fact]
    public void What_is_left_of_the_last_minute_is_told_at_the_end()
    {
        Refuse(25);
        _log.Dispose();
        Assert.StartsWith("5 more of these", _lines.Texts[^1]);
    }
}
