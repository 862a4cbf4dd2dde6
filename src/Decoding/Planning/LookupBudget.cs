namespace Understory.Decoding.Planning;

/// <summary>
/// Beside a small target even an n-gram look-up costs: microseconds of a step of tens of them. While look-ups gain fewer tokens than their
/// time is worth they are made ever more rarely; the first one that pays brings them back to every step.
/// </summary>
public sealed class LookupBudget
{
    private const int LongestWait = 32;
    private const double Rate = 0.2;

    private double _gain = 1;
    private double _seconds;
    private int _wait;
    private int _nextWait = 1;

    public void BeginSequence()
    {
        _gain = 1;
        _wait = 0;
        _nextWait = 1;
    }

    /// <summary>Is a look-up to be made in this step?</summary>
    public bool Due() => _wait-- <= 0;

    /// <summary>A step's look-ups took so many seconds and gained so many tokens, net, by the planner's estimate.</summary>
    public void Book(double seconds, double gain, double price)
    {
        _seconds = _seconds == 0 ? seconds : _seconds + (Rate * (Math.Min(seconds, 4 * _seconds) - _seconds));
        _gain += Rate * (gain - _gain);
        bool pays = Math.Max(_gain, gain) > price * _seconds;
        _wait = pays ? 0 : _nextWait;
        _nextWait = pays ? 1 : Math.Min(2 * _nextWait, LongestWait);
    }
}
