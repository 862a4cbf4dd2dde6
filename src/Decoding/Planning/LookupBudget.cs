namespace Understory.Decoding.Planning;

/// <summary>
/// Beside a small target even an n-gram look-up costs: microseconds of a step of tens of them. While look-ups gain fewer tokens than their
/// time is worth they may take a small share of it; the first one that pays brings them back to every step.
/// </summary>
/// <param name="share">Share of the time for look-ups that gain nothing.</param>
public sealed class LookupBudget(double share)
{
    /// <summary>Most steps between two look-ups. Chosen: a repetition longer than that is worth finding at any price.</summary>
    private const int LongestWait = 64;

    /// <summary>Weight of the latest look-up in the running averages. Chosen: some five steps are remembered.</summary>
    private const double Rate = 0.2;

    /// <summary>Look-ups must pay so many times over: estimates flatter what was chosen by them. Chosen.</summary>
    private const double Margin = 2;

    /// <summary>One look-up that pays so many times over says that a repetition has begun. Chosen.</summary>
    private const double Found = 4;

    /// <summary>A look-up counts as at most so many times the average: a stall of the machine is none of its doing. Chosen.</summary>
    private const double Stall = 4;

    private double _gain = 1;
    private double _seconds;
    private int _wait;

    /// <summary>A look-up is to be made in this step.</summary>
    public bool Due => _wait <= 0;

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

    /// <summary>A step went by without a look-up.</summary>
    public void Waited() => _wait--;

    /// <summary>A step's look-ups took so many seconds and gained so many tokens, net, by the ledger's estimate.</summary>
    public void Book(double seconds, double gain, double price)
    {
        // Of the first two the shorter one: the machine may have stalled.
        _seconds = _seconds == 0 || seconds < _seconds / Stall
            ? seconds : _seconds + (Rate * (Math.Min(seconds, Stall * _seconds) - _seconds));
        _gain += Rate * (gain - _gain);
        bool pays = _gain > Margin * price * _seconds || gain > Found * price * _seconds;
        _wait = pays ? 0 : (int)Math.Min(price * _seconds / share, LongestWait);
    }
}
