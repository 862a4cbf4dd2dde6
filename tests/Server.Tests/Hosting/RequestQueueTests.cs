using Understory.Decoding;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Tests.Hosting;

public class RequestQueueTests
{
    private static GenerationJob Job() => new([new GenerationRequest { Prompt = [1] }]);

    private static GenerationJob Take(RequestQueue queue)
    {
        Assert.True(queue.Take(out GenerationJob? job));
        return job;
    }

    [Fact]
    public void Jobs_are_taken_in_the_order_of_their_arrival()
    {
        var queue = new RequestQueue(8);
        GenerationJob[] jobs = [.. Enumerable.Range(0, 8).Select(_ => Job())];
        Array.ForEach(jobs, queue.Enqueue);
        foreach (GenerationJob job in jobs)
        {
            Assert.Same(job, Take(queue));
            queue.Finish(TimeSpan.Zero);
        }
    }

    [Fact]
    public void Places_count_beside_the_running_job()
    {
        var queue = new RequestQueue(2);
        queue.Enqueue(Job());
        Take(queue);
        queue.Enqueue(Job());
        queue.Enqueue(Job());
        var refusal = Assert.Throws<ApiException>(() => queue.Enqueue(Job()));
        Assert.Equal(429, refusal.Status);
        Assert.InRange(refusal.RetryAfter!.Value, 1, 60);
        Assert.Equal(2, queue.Depth);
    }

    [Fact]
    public void Without_places_an_idle_thread_still_gets_its_job()
    {
        var queue = new RequestQueue(0);
        queue.Enqueue(Job());
        Take(queue);
        Assert.Equal(429, Assert.Throws<ApiException>(() => queue.Enqueue(Job())).Status);
        queue.Finish(TimeSpan.Zero);
        queue.Enqueue(Job());
    }

    [Fact]
    public void A_job_that_is_given_up_frees_its_place()
    {
        var queue = new RequestQueue(1);
        queue.Enqueue(Job());
        Take(queue);
        GenerationJob waiting = Job();
        queue.Enqueue(waiting);
        queue.Remove(waiting);
        GenerationJob next = Job();
        queue.Enqueue(next);
        queue.Finish(TimeSpan.Zero);
        Assert.Same(next, Take(queue));
    }

    [Fact]
    public async Task Draining_refuses_what_waits_and_lets_the_running_job_finish()
    {
        var queue = new RequestQueue(4);
        GenerationJob running = Job();
        GenerationJob waiting = Job();
        queue.Enqueue(running);
        Take(queue);
        queue.Enqueue(waiting);

        Task idle = queue.DrainAsync();

        Assert.False(idle.IsCompleted);
        Assert.False(running.Ended);
        var refusal = await Assert.ThrowsAsync<ApiException>(() => waiting.Events.Completion);
        Assert.Equal(503, refusal.Status);
        Assert.Equal(503, Assert.Throws<ApiException>(() => queue.Enqueue(Job())).Status);
        queue.Finish(TimeSpan.Zero);
        await idle.WaitAsync(TimeSpan.FromMinutes(3));
        Assert.False(queue.Take(out _));
    }

    [Fact]
    public async Task A_thread_that_waits_for_work_is_woken_by_work_and_by_draining()
    {
        var queue = new RequestQueue(4);
        Task<bool> first = Task.Run(() => queue.Take(out _));
        queue.Enqueue(Job());
        Assert.True(await first.WaitAsync(TimeSpan.FromMinutes(3)));
        queue.Finish(TimeSpan.Zero);
        Task<bool> second = Task.Run(() => queue.Take(out _));
        _ = queue.DrainAsync();
        Assert.False(await second.WaitAsync(TimeSpan.FromMinutes(3)));
    }
}
