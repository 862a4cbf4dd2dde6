namespace Understory.Server.Tests;

/// <summary>Its timers ring when the test says so.</summary>
internal sealed class ManualClock : TimeProvider
{
    private readonly List<Alarm> _alarms = [];

    /// <summary>Rings every timer that is to ring within so long.</summary>
    public void Ring(TimeSpan within)
    {
        Alarm[] ringing;
        lock (_alarms)
        {
            ringing = [.. _alarms.Where(alarm => alarm.Due <= within)];
        }

        Array.ForEach(ringing, alarm => alarm.Ring());
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var alarm = new Alarm(this, dueTime, () => callback(state));
        lock (_alarms)
        {
            _alarms.Add(alarm);
        }

        return alarm;
    }

    private sealed class Alarm(ManualClock clock, TimeSpan due, Action ring) : ITimer
    {
        public TimeSpan Due => due;

        public void Ring() => ring();

        public bool Change(TimeSpan dueTime, TimeSpan period) => false;

        public void Dispose()
        {
            lock (clock._alarms)
            {
                clock._alarms.Remove(this);
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
