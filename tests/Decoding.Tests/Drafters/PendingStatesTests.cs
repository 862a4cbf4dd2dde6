using Understory.Decoding.Drafters;

namespace Understory.Decoding.Tests.Drafters;

public class PendingStatesTests
{
    private readonly PendingStates _states = new(2, 5);

    [Fact]
    public void States_of_consecutive_positions_are_held_until_they_are_dropped()
    {
        Add(_states, 3, 4, 5, 6);
        Assert.Equal([3], Held(_states, 3));
        Assert.Equal([6], Held(_states, 6));
        Assert.Empty(Held(_states, 2));
        Assert.Empty(Held(_states, 7));
        _states.DropBefore(5);
        Assert.Equal((5, 2), (_states.First, _states.Count));
        Assert.Empty(Held(_states, 4));
        Assert.Equal([6], Held(_states, 6));
        _states.DropBefore(2);
        _states.DropBefore(100);
        Assert.Equal(0, _states.Count);
    }

    [Fact]
    public void A_state_that_does_not_follow_the_last_one_begins_anew()
    {
        Add(_states, 0, 1, 9);
        Assert.Equal((9, 1), (_states.First, _states.Count));
        Assert.Empty(Held(_states, 1));
    }

    [Fact]
    public void As_many_fit_as_were_asked_for()
    {
        Add(_states, 0, 1, 2, 3);
        Assert.False(_states.IsFull);
        Add(_states, 4);
        Assert.True(_states.IsFull);
        Assert.Equal(5 * 2 * sizeof(float), _states.Bytes);
    }

    [Fact]
    public void What_is_remembered_outlives_what_is_dropped_but_not_what_is_cut_off()
    {
        Add(_states, 0, 1, 2);
        _states.Remember();
        Add(_states, 3, 4);
        _states.Remember();
        _states.Remember();
        _states.DropBefore(5);
        Assert.Equal([2], Held(_states, 2));
        Assert.Equal([4], Held(_states, 4));
        _states.Truncate(4);
        Assert.Equal([2], Held(_states, 2));
        Assert.Empty(Held(_states, 4));
    }

    [Fact]
    public void Of_many_that_are_remembered_the_last_ones_stay()
    {
        for (int position = 0; position < 20; position++)
        {
            Add(_states, position);
            _states.Remember();
            _states.DropBefore(position + 1);
        }

        Assert.Empty(Held(_states, 3));
        Assert.Equal([4], Held(_states, 4));
        Assert.Equal([19], Held(_states, 19));
    }

    [Fact]
    public void Another_sequence_takes_over_what_is_before_its_end()
    {
        Add(_states, 0, 1);
        _states.Remember();
        Add(_states, 2, 3);
        var copy = new PendingStates(2, 5);
        Add(copy, 7);
        copy.CopyFrom(_states, 3);
        Assert.Equal((0, 3), (copy.First, copy.Count));
        Assert.Equal([2], Held(copy, 2));
        Assert.Empty(Held(copy, 3));
        copy.DropBefore(3);
        Assert.Equal([1], Held(copy, 1));
    }

    private static void Add(PendingStates states, params int[] positions)
    {
        foreach (int position in positions)
        {
            states.Add(position, [position, -position]);
        }
    }

    /// <summary>The first number of what is held.</summary>
    private static float[] Held(PendingStates states, int position) => states.At(position) is { IsEmpty: false } state ? [state[0]] : [];
}
