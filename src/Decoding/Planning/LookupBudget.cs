namespace Understory.Decoding.Planning;

/// <summary>
/// Beside a small target even an n-gram look-up costs: microseconds of a step of tens of them. While look-ups gain fewer tokens than their
/// time is worth they may take half a percent of it; the first one that pays brings them back to every step.
/// </summary>
public sealed class LookupBudget
{
    private const double Share = 0.005;
    private const int LongestWait = 64;
    private const double Rate = 0.2;

    private double _gain = 1;
    private double _seconds;
    private int _wait;

    public void BeginSequence()
    {
        _gain = 1;
        _wait = 0;
    }

    /// <summary>Forgets what look-ups cost, too.</summary>
    public void Clear()
    {
        BeginSequence();
        _seconds = 0;
    }

    /// <summary>Is a look-up to be made in this step?</summary>
    public bool Due() => _wait-- <= 0;

    /// <summary>A step's look-ups took so many seconds and gained so many tokens, net, by the planner's estimate.</summary>
    public void Book(double seconds, double gain, double price)
    {
        _seconds = _seconds == 0 ? seconds : _seconds + (Rate * (Math.Min(seconds, 4 * _seconds) - _seconds));
        _gain += Rate * (gain - _gain);
        // They must pay twice over: estimates flatter what was chosen by them. One look-up that pays for several says that a repetition has begun.
        bool pays = _gain > 2 * price * _seconds || gain > 4 * price * _seconds;
        _wait = pays ? 0 : (int)Math.Min(price * _seconds / Share, LongestWait);
    }
}
