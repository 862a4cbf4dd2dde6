using System.Text.Json;
using Understory.Decoding.Constraints;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.Tests.Chat;

public sealed class ConstraintCacheTests
{
    private static readonly Tokenizer Demo = Tokenizer.Load(Standin.TokenizerFile);

    private readonly ConstraintCache _cache = new(Demo);
    private int _made;

    [Fact]
    public async Task Equal_schemas_are_compiled_once_however_many_ask()
    {
        using var gate = new ManualResetEventSlim();
        Task<Constraint>[] asked = [.. Enumerable.Range(0, 6).Select(_ => Task.Run(() => _cache.Get("a", "f", budget =>
        {
            Interlocked.Increment(ref _made);
            gate.Wait();
            return Grammar.JsonObject();
        }, CancellationToken.None)))];
        gate.Set();
        Constraint[] got = await Task.WhenAll(asked);
        Assert.Single(got.Distinct());
        Assert.Equal(1, _made);
        Assert.Same(got[0], _cache.Get("a", "f", _ => throw new InvalidOperationException(), CancellationToken.None));
    }

    [Fact]
    public async Task What_nobody_waits_for_any_more_is_not_compiled_on()
    {
        using var first = new CancellationTokenSource();
        using var second = new CancellationTokenSource();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Grammar Endless(GrammarBudget budget)
        {
            begun.TrySetResult();
            try
            {
                // Until the budget says that nobody waits; it has room for a minute of this.
                while (true)
                {
                    _ = Grammar.JsonSchema(Small.RootElement, budget: budget);
                    Thread.Sleep(20);
                }
            }
            finally
            {
                ended.TrySetResult();
            }
        }

        Task<Constraint> one = Task.Run(() => _cache.Get("b", "f", Endless, first.Token));
        await begun.Task;
        Task<Constraint> two = Task.Run(() => _cache.Get("b", "f", Endless, second.Token));
        await first.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
        await second.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => two);
        await ended.Task.WaitAsync(TimeSpan.FromMinutes(3));

        // And whoever asks afterwards gets it made anew.
        Assert.NotNull(_cache.Get("b", "f", _ => Grammar.JsonObject(), CancellationToken.None));
    }

    [Fact]
    public void What_cannot_be_compiled_names_the_field_and_is_not_tried_again()
    {
        for (int i = 0; i < 2; i++)
        {
            ChatException refusal = Assert.Throws<ChatException>(() => _cache.Get("c", "response_format", _ =>
            {
                _made++;
                return Grammar.Gbnf("root ::= root");
            }, CancellationToken.None));
            Assert.Equal("response_format", refusal.Field);
        }

        Assert.Equal(1, _made);
    }

    private static JsonDocument Small { get; } =
        JsonDocument.Parse($$"""{"enum":[{{string.Join(',', Enumerable.Range(0, 200).Select(i => $"\"{i}\""))}}]}""");
}
