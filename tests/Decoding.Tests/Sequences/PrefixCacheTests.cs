using Understory.Decoding.Drafters;
using Understory.Decoding.Sequences;

namespace Understory.Decoding.Tests.Sequences;

/// <summary>One byte per token, so that budgets are counts of tokens.</summary>
[Collection(DemoGroup.Name)]
public class PrefixCacheTests(DemoBundle demo)
{
    private int _created;

    [Fact]
    public void A_prompt_that_continues_a_text_takes_its_entry_over()
    {
        using PrefixCache cache = Create(1000);
        CacheEntry entry = Hold(cache, Text(0, 12));
        CacheEntry again = cache.Take([.. Text(0, 12), 500, 501], 20, out int shared);
        Assert.Same(entry, again);
        Assert.Equal(12, shared);
        Assert.Equal(Text(0, 12), again.Tokens);
        Assert.Equal(0, cache.HeldTokens);
        cache.Return(again, Text(0, 12));
    }

    [Fact]
    public void The_last_prompt_token_is_never_reused()
    {
        using PrefixCache cache = Create(1000);
        Hold(cache, Text(0, 100));
        CacheEntry entry = cache.Take(Text(0, 100), 10, out int shared);
        Assert.Equal(99, shared);
        Assert.Equal(Text(0, 99), entry.Tokens);
        cache.Return(entry, Text(0, 99));
    }

    [Fact]
    public void A_prompt_that_branches_off_gets_a_copy_and_the_text_stays()
    {
        using PrefixCache cache = Create(1000);
        CacheEntry first = Hold(cache, Text(0, 100), drafted: 70);
        int[] branch = [.. Text(0, 50), .. Text(900, 20)];
        CacheEntry second = cache.Take(branch, 100, out int shared);
        Assert.NotSame(first, second);
        Assert.Equal(50, shared);
        Assert.Equal(50, second.Draft!.Committed);
        Assert.Equal(70, first.Draft!.Committed);
        cache.Return(second, branch);
        Assert.Equal(170, cache.HeldTokens);
        Assert.Same(first, cache.Take([.. Text(0, 100), 7], 110, out shared));
        Assert.Equal(100, shared);
        cache.Return(first, Text(0, 100));
    }

    [Fact]
    public void A_copy_holds_no_more_of_the_draft_than_its_source()
    {
        using PrefixCache cache = Create(1000);
        Hold(cache, Text(0, 100), drafted: 40);
        CacheEntry copy = cache.Take([.. Text(0, 60), 900, 901], 80, out int shared);
        Assert.Equal(60, shared);
        Assert.Equal(40, copy.Draft!.Committed);
        cache.Return(copy, Text(0, 60));
    }

    [Fact]
    public void Without_room_for_a_copy_a_branch_cuts_the_text_in_place()
    {
        using PrefixCache cache = Create(150);
        CacheEntry first = Hold(cache, Text(0, 100), drafted: 90);
        CacheEntry second = cache.Take([.. Text(0, 50), 900, 901], 60, out int shared);
        Assert.Same(first, second);
        Assert.Equal(50, shared);
        Assert.Equal(50, second.Draft!.Committed);
        Assert.Equal(Text(0, 50), second.Tokens);
        cache.Return(second, Text(0, 50));
    }

    [Fact]
    public void A_text_that_only_begins_alike_is_left_alone_while_there_is_room()
    {
        using PrefixCache cache = Create(1000);
        CacheEntry first = Hold(cache, Text(0, 100));
        CacheEntry second = cache.Take([.. Text(0, 5), 900, 901], 30, out int shared);
        Assert.NotSame(first, second);
        Assert.Equal(0, shared);
        Assert.Empty(second.Tokens);
        Assert.Equal(100, cache.HeldTokens);
        cache.Return(second, []);
    }

    [Fact]
    public void The_longest_common_prefix_wins()
    {
        using PrefixCache cache = Create(1000);
        CacheEntry shorter = Hold(cache, [.. Text(0, 60), 900]);
        CacheEntry longer = Hold(cache, Text(0, 90));
        Assert.NotSame(shorter, longer);
        CacheEntry taken = cache.Take([.. Text(0, 95)], 100, out int shared);
        Assert.Same(longer, taken);
        Assert.Equal(90, shared);
        cache.Return(taken, Text(0, 95));
    }

    [Fact]
    public void Beyond_the_budget_the_text_unused_for_longest_goes()
    {
        using PrefixCache cache = Create(250);
        Hold(cache, Text(0, 100));
        Hold(cache, Text(1000, 100));
        Hold(cache, Text(0, 100), continues: true);
        Hold(cache, Text(2000, 50));
        Assert.Equal(250, cache.HeldTokens);

        // One more than fits: the second text is the oldest by now.
        CacheEntry more = cache.Take([.. Text(2000, 50), 1, 2], 60, out int shared);
        Assert.Equal(50, shared);
        cache.Return(more, [.. Text(2000, 50), 1]);
        Assert.Equal(151, cache.HeldTokens);
        CacheEntry gone = cache.Take(Text(1000, 100), 100, out shared);
        Assert.Equal(0, shared);
        cache.Return(gone, []);
    }

    [Fact]
    public void One_text_is_held_whatever_the_budget()
    {
        using PrefixCache cache = Create(10);
        CacheEntry entry = Hold(cache, Text(0, 100));
        Assert.Equal(100, cache.HeldTokens);
        Assert.Same(entry, cache.Take([.. Text(0, 100), 1], 110, out int shared));
        Assert.Equal(100, shared);
        cache.Return(entry, Text(0, 100));
    }

    [Fact]
    public void Memory_that_a_longer_text_once_took_counts_against_the_budget()
    {
        using PrefixCache cache = Create(150);
        CacheEntry entry = Hold(cache, Text(0, 120));
        Assert.Same(entry, cache.Take([.. Text(0, 40), 900], 50, out _));
        cache.Return(entry, Text(0, 40));
        Hold(cache, Text(1000, 31));
        Assert.Equal(1, _created);
    }

    [Fact]
    public void Many_short_texts_take_no_more_memory_than_the_budget()
    {
        // What a text takes is whole pages of every head's keys and values, whatever its length.
        using CacheEntry sample = CreateEntry();
        long BytesFor(int tokens) => sample.Target.BytesFor(tokens) + sample.Draft!.BytesFor(tokens);
        Assert.True(BytesFor(5) > 20 * sample.Target.BytesPerSlot);
        Assert.Equal(0, BytesFor(0));
        Assert.True(BytesFor(256) >= 256 * (sample.Target.BytesPerSlot + sample.Draft!.Own!.BytesPerSlot));
        using var cache = new PrefixCache(CreateEntry, 8 * BytesFor(5), BytesFor);
        for (int i = 0; i < 30; i++)
        {
            Hold(cache, Text(100 * i, 5));
        }

        Assert.Equal(8 * 5, cache.HeldTokens);
    }

    [Fact]
    public void Without_a_budget_nothing_is_reused_or_held_and_the_memory_serves_the_next()
    {
        using PrefixCache cache = Create(0);
        CacheEntry entry = Hold(cache, Text(0, 100), drafted: 100);
        Assert.Equal(0, cache.HeldTokens);
        CacheEntry next = cache.Take([.. Text(0, 100), 1], 110, out int shared);
        Assert.Same(entry, next);
        Assert.Equal(0, shared);
        Assert.Empty(next.Tokens);
        Assert.Equal(0, next.Draft!.Committed);
        cache.Return(next, Text(0, 100));
    }

    [Fact]
    public void An_entry_that_comes_back_shorter_than_its_draft_cuts_the_draft()
    {
        using PrefixCache cache = Create(1000);
        CacheEntry entry = cache.Take(Text(0, 50), 100, out _);
        entry.Draft!.Committed = 60;
        cache.Return(entry, Text(0, 55));
        Assert.Equal(55, entry.Draft.Committed);
    }

    private static int[] Text(int first, int count) => [.. Enumerable.Range(first, count)];

    private PrefixCache Create(long budget) => new(CreateEntry, budget, tokens => tokens);

    private CacheEntry CreateEntry()
    {
        _created++;
        return new()
        {
            Target = demo.Target.Transformer.CreateCache(256),
            Draft = new DraftCache(demo.Draft.Transformer.CreateCache(256)),
        };
    }

    /// <summary>As a sequence that took its text for the prompt and has come to its end.</summary>
    private static CacheEntry Hold(PrefixCache cache, int[] tokens, int drafted = 0, bool continues = false)
    {
        CacheEntry entry = cache.Take(continues ? [.. tokens, 9999] : tokens, tokens.Length, out int shared);
        Assert.True(!continues || shared == tokens.Length);
        entry.Draft!.Committed = drafted;
        cache.Return(entry, tokens);
        return entry;
    }
}
