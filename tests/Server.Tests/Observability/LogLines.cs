using System.Collections.Concurrent;
using System.Globalization;
using Serilog.Core;
using Serilog.Events;

namespace Understory.Server.Tests.Observability;

/// <summary>Keeps what is logged.</summary>
internal sealed class LogLines : ILogEventSink
{
    private readonly ConcurrentQueue<LogEvent> _events = [];

    public LogEvent[] Events => [.. _events];

    public string[] Texts =>
        [.. _events.Select(line => line.RenderMessage(CultureInfo.InvariantCulture).Replace("\"", "", StringComparison.Ordinal))];

    public void Emit(LogEvent logEvent) => _events.Enqueue(logEvent);

    /// <summary>The value that the last line with this property has.</summary>
    public object? Value(string property) =>
        Events.Last(line => line.Properties.ContainsKey(property)).Properties[property] is ScalarValue scalar ? scalar.Value : null;
}
