using Understory.Models.Kernels.Cpu;

namespace Understory.Models.Tests.Kernels;

public class ThreadTeamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Every_item_of_every_job_is_done_once(int threads)
    {
        using ThreadTeam team = new(threads);
        CountingJob job = new(67);
        const int Dispatches = 100_000;
        for (int i = 0; i < Dispatches; i++)
        {
            team.Run(job, 1 + (i % 67), 1 + (i % 3));
        }

        for (int item = 0; item < 67; item++)
        {
            Assert.Equal(Enumerable.Range(0, Dispatches).Count(i => i % 67 >= item), job.Done[item]);
        }
    }

    [Fact]
    public void Threads_that_have_gone_to_sleep_wake_up()
    {
        using ThreadTeam team = new(3);
        CountingJob job = new(30);
        for (int i = 0; i < 20; i++)
        {
            Thread.Sleep(5);
            team.Run(job, 30, 1);
        }

        Assert.All(job.Done, done => Assert.Equal(20, done));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void An_exception_reaches_the_caller_and_the_team_goes_on(int threads)
    {
        using ThreadTeam team = new(threads);
        CountingJob job = new(40);
        for (int i = 0; i < 100; i++)
        {
            InvalidDataException error = Assert.Throws<InvalidDataException>(() => team.Run(new FailingJob(i % 40), 40, 1));
            Assert.Equal($"item {i % 40}", error.Message);
            team.Run(job, 40, 1);
        }

        Assert.All(job.Done, done => Assert.Equal(100, done));
    }

    [Fact]
    public void A_team_s_threads_end_with_it()
    {
        int before = System.Diagnostics.Process.GetCurrentProcess().Threads.Count;
        for (int i = 0; i < 50; i++)
        {
            using ThreadTeam team = new(5);
            team.Run(new CountingJob(64), 64, 1);
        }

        // Other tests run beside this one; 200 threads left over would show.
        Assert.InRange(System.Diagnostics.Process.GetCurrentProcess().Threads.Count, 0, before + 100);
    }

    [Fact]
    public void Dispatching_allocates_nothing()
    {
        using ThreadTeam team = new(2);
        CountingJob job = new(16);
        team.Run(job, 16, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            team.Run(job, 16, 1);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private sealed class CountingJob(int items) : Job
    {
        public int[] Done { get; } = new int[items];

        public override void Run(int first, int end, int worker)
        {
            for (int item = first; item < end; item++)
            {
                Interlocked.Increment(ref Done[item]);
            }
        }
    }

    private sealed class FailingJob(int bad) : Job
    {
        public override void Run(int first, int end, int worker)
        {
            if (first <= bad && bad < end)
            {
                throw new InvalidDataException($"item {bad}");
            }
        }
    }
}
