using Serilog.Core;
using Serilog.Events;
using Serilog.Parsing;

namespace Understory.Server.Observability;

/// <summary>
/// Keeps a flood out of the log: of each kind of line the first 20 of a minute pass, and at its end one line says how many more there were.
/// Lines of one kind have the same template, endpoint, status and code. Lines with the figures of an answer all pass: decoding bounds
/// their number.
/// </summary>
public sealed class LogThinning : ILogEventSink, IDisposable
{
    public const int Most = 20;

    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);
    private static readonly MessageTemplate Summary = new MessageTemplateParser().Parse("{More} more of these in a minute: {Kind:l}");

    private readonly ILogEventSink _next;
    private readonly TimeProvider _clock;
    private readonly ITimer _timer;
    private readonly Lock _lock = new();
    private Dictionary<LineKind, Count> _counts = [];

    /// <param name="next">Gets the lines that pass; disposed with this.</param>
    public LogThinning(ILogEventSink next, TimeProvider clock)
    {
        _next = next;
        _clock = clock;
        _timer = clock.CreateTimer(_ => Close(), null, Window, Window);
    }

    public void Emit(LogEvent logEvent)
    {
        if (logEvent.Properties.ContainsKey("GeneratedTokens") || Counted(logEvent) <= Most)
        {
            _next.Emit(logEvent);
        }
    }

    public void Dispose()
    {
        _timer.Dispose();
        Close();
        (_next as IDisposable)?.Dispose();
    }

    private int Counted(LogEvent line)
    {
        var kind = new LineKind(line.MessageTemplate.Text, Text(line, "Endpoint"), Text(line, "Status"), Text(line, "Code"));
        lock (_lock)
        {
            if (!_counts.TryGetValue(kind, out Count? count))
            {
                _counts[kind] = count = new Count(line.Level);
            }

            return ++count.Lines;
        }
    }

    /// <summary>Ends a minute: tells what was left out of it, and counts anew.</summary>
    private void Close()
    {
        Dictionary<LineKind, Count> counts;
        lock (_lock)
        {
            (counts, _counts) = (_counts, []);
        }

        foreach ((LineKind kind, Count count) in counts.Where(pair => pair.Value.Lines > Most))
        {
            _next.Emit(new LogEvent(_clock.GetLocalNow(), count.Level, null, Summary,
            [
                new("More", new ScalarValue(count.Lines - Most)),
                new("Kind", new ScalarValue(kind.ToString())),
            ]));
        }
    }

    private static string? Text(LogEvent line, string property) =>
        line.Properties.TryGetValue(property, out LogEventPropertyValue? value) && value is ScalarValue scalar
            ? scalar.Value?.ToString() : null;

    private sealed class Count(LogEventLevel level)
    {
        public LogEventLevel Level { get; } = level;

        public int Lines { get; set; }
    }

    private sealed record LineKind(string Template, string? Endpoint, string? Status, string? Code)
    {
        public override string ToString() =>
            Endpoint is null ? Template : string.Join(' ', new[] { Endpoint, Status, Code }.OfType<string>());
    }
}
