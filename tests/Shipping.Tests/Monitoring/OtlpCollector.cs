using System.Net;
using Google.Protobuf;

namespace Understory.Shipping.Tests.Monitoring;

/// <summary>Takes what is sent by OTLP over HTTP, and reads it by the field numbers of opentelemetry-proto 1.x.</summary>
internal sealed class OtlpCollector : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly List<(string Path, byte[] Body)> _received = [];

    public OtlpCollector()
    {
        Address = new Uri($"http://127.0.0.1:{Tools.FreePort()}");
        _listener.Prefixes.Add(Address.AbsoluteUri);
        _listener.Start();
        _ = Task.Run(ReceiveAsync);
    }

    public Uri Address { get; }

    /// <summary>Attributes of the resources that sent anything.</summary>
    public IEnumerable<IReadOnlyDictionary<string, object>> Resources =>
        Bodies("/v1/traces").Concat(Bodies("/v1/metrics")).SelectMany(body => body.Messages(1)).SelectMany(sent => sent.Messages(1))
            .Select(OtlpSpan.Attributes);

    /// <summary>resource_spans = 1, scope_spans = 2, spans = 2.</summary>
    public IReadOnlyList<OtlpSpan> Spans =>
        [.. Bodies("/v1/traces").SelectMany(body => body.Messages(1)).SelectMany(sent => sent.Messages(2))
            .SelectMany(scope => scope.Messages(2)).Select(OtlpSpan.Of)];

    /// <summary>
    /// resource_metrics = 1, scope_metrics = 2, metrics = 2; a histogram (9) counts in field 4 of its points, a sum (7) as int in 6.
    /// </summary>
    public IReadOnlyList<(string Name, ulong Histogram, ulong Sum)> Metrics =>
    [
        .. from body in Bodies("/v1/metrics")
           from sent in body.Messages(1)
           from scope in sent.Messages(2)
           from metric in scope.Messages(2)
           select (
               metric.Text(1),
               metric.Messages(9).SelectMany(histogram => histogram.Messages(1)).Aggregate(0UL, (sum, point) => sum + point.Number(4)),
               metric.Messages(7).SelectMany(total => total.Messages(1)).Aggregate(0UL, (sum, point) => sum + point.Number(6))),
    ];

    /// <summary>Everything received, as text: to look for what must not be there.</summary>
    public bool Mentions(string text)
    {
        byte[] sought = System.Text.Encoding.UTF8.GetBytes(text);
        lock (_received)
        {
            return _received.Any(request => request.Body.AsSpan().IndexOf(sought) >= 0);
        }
    }

    public void Dispose() => _listener.Close();

    private IEnumerable<WireMessage> Bodies(string path)
    {
        lock (_received)
        {
            return [.. _received.Where(request => request.Path == path).Select(request => new WireMessage(request.Body))];
        }
    }

    private async Task ReceiveAsync()
    {
        while (_listener.IsListening)
        {
            try
            {
                HttpListenerContext context = await _listener.GetContextAsync();
                using var body = new MemoryStream();
                await context.Request.InputStream.CopyToAsync(body);
                lock (_received)
                {
                    _received.Add((context.Request.Url!.AbsolutePath, body.ToArray()));
                }

                context.Response.ContentType = "application/x-protobuf";
                context.Response.Close();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return;
            }
        }
    }
}

/// <summary>
/// A span: trace_id = 1, span_id = 2, parent_span_id = 4, name = 5, kind = 6, start = 7, end = 8, attributes = 9, status = 15.
/// </summary>
internal sealed record OtlpSpan(string Trace, string Id, string Parent, string Name, ulong Kind, ulong Start, ulong End,
    IReadOnlyDictionary<string, object> Tags, ulong Status)
{
    public static OtlpSpan Of(WireMessage span) => new(
        span.Hex(1), span.Hex(2), span.Hex(4), span.Text(5), span.Number(6), span.Number(7), span.Number(8), Attributes(span, 9),
        span.Messages(15).Select(status => status.Number(3)).FirstOrDefault());

    public static IReadOnlyDictionary<string, object> Attributes(WireMessage owner) => Attributes(owner, 1);

    /// <summary>KeyValue: key = 1, value = 2; AnyValue: string = 1, int = 3, double = 4, array = 5 (values = 1).</summary>
    private static Dictionary<string, object> Attributes(WireMessage owner, int field) =>
        owner.Messages(field).ToDictionary(pair => pair.Text(1), pair => Value(pair.Messages(2).Single()));

    private static object Value(WireMessage value) =>
        value.Has(1) ? value.Text(1)
        : value.Has(3) ? (long)value.Number(3)
        : value.Has(4) ? BitConverter.UInt64BitsToDouble(value.Number(4))
        : value.Has(5) ? string.Join(',', value.Messages(5).SelectMany(array => array.Messages(1)).Select(Value))
        : value.Number(2) != 0;
}

/// <summary>A protobuf message without its schema: numbers and byte strings by field number.</summary>
internal sealed class WireMessage
{
    private readonly List<(int Field, ulong Number, ByteString? Bytes)> _fields = [];

    /// <exception cref="InvalidProtocolBufferException">The bytes are no protobuf message.</exception>
    public WireMessage(byte[] bytes)
    {
        var input = new CodedInputStream(bytes);
        for (uint tag; (tag = input.ReadTag()) != 0;)
        {
            int field = WireFormat.GetTagFieldNumber(tag);
            _fields.Add(WireFormat.GetTagWireType(tag) switch
            {
                WireFormat.WireType.Varint => (field, input.ReadUInt64(), null),
                WireFormat.WireType.Fixed64 => (field, input.ReadFixed64(), null),
                WireFormat.WireType.Fixed32 => (field, input.ReadFixed32(), null),
                WireFormat.WireType.LengthDelimited => (field, 0, input.ReadBytes()),
                var other => throw new InvalidDataException($"field {field} has wire type {other}"),
            });
        }
    }

    public bool Has(int field) => _fields.Any(found => found.Field == field);

    public ulong Number(int field) => _fields.LastOrDefault(found => found.Field == field).Number;

    public string Text(int field) => Bytes(field).LastOrDefault()?.ToStringUtf8() ?? "";

    public string Hex(int field) => Convert.ToHexStringLower((Bytes(field).LastOrDefault() ?? ByteString.Empty).Span);

    public IEnumerable<WireMessage> Messages(int field) => Bytes(field).Select(bytes => new WireMessage(bytes.ToByteArray()));

    private IEnumerable<ByteString> Bytes(int field) => _fields.Where(found => found.Field == field && found.Bytes is not null)
        .Select(found => found.Bytes!);
}
