using Microsoft.Extensions.Logging.Abstractions;
using Understory.Decoding;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Hosting;

public class DecodingServiceTests
{
    [Fact]
    public async Task What_the_loop_refuses_is_answered_with_the_field_and_the_thread_goes_on()
    {
        var queue = new RequestQueue(8);
        var decoding = new DecodingService(queue, new ModelLoading(new ServerOptions()).Load, NullLogger<DecodingService>.Instance);
        decoding.Start();
        await decoding.Ready.WaitAsync(TimeSpan.FromMinutes(3));
        var refused = new GenerationJob([new GenerationRequest { Prompt = [int.MaxValue] }]);
        queue.Enqueue(refused);
        ApiException refusal = await Assert.ThrowsAsync<ApiException>(() => refused.Events.Completion.WaitAsync(TimeSpan.FromMinutes(3)));
        Assert.Equal((400, "prompt"), (refusal.Status, refusal.Body.Error.Param));

        var good = new GenerationJob([new GenerationRequest { Prompt = [1], MaxTokens = 3, IgnoreEos = true }]);
        queue.Enqueue(good);
        ChoiceFinished? finished = null;
        await foreach (GenerationEvent item in good.Events.ReadAllAsync())
        {
            finished = item as ChoiceFinished;
        }

        Assert.Equal(3, finished?.GeneratedTokens);
        await queue.DrainAsync();
        Assert.True(decoding.Join(TimeSpan.FromMinutes(3)));
    }
}
