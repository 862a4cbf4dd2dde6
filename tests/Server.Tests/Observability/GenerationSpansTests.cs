using Microsoft.AspNetCore.Http;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;
using Understory.Server.Observability;

namespace Understory.Server.Tests.Observability;

public sealed class GenerationSpansTests
{
    [Fact]
    public void Without_a_listener_a_span_costs_nothing()
    {
        var queue = new RequestQueue(1);
        var spans = new GenerationSpans(new DecodingService(queue, _ => throw new InvalidOperationException(), Microsoft.Extensions.Logging.Abstractions.NullLogger<DecodingService>.Instance));
        var http = new DefaultHttpContext();
        var record = new RequestRecord("req") { Ended = new GenerationOutcome(new GenerationJob([]), [], 0) };
        Assert.False(Telemetry.Source.HasListeners());
        spans.Emit(http, record, "/v1/completions", 200);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            spans.Emit(http, record, "/v1/completions", 200);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
