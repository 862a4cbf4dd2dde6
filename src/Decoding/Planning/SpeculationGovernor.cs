namespace Understory.Decoding.Planning;

/// <summary>
/// Keeps <c>auto</c> from ever costing more than plain decoding. It books every speculative step against what plain decoding would have
/// committed in the same time; when the account is overdrawn, speculation rests, twice as long each time. While the draft is
/// thought not to pay, it is tried again now and then, at intervals that double and at a cost of at most one percent.
/// </summary>
public sealed class SpeculationGovernor
{
    private const double Overdraft = 2;
    private const double Savings = 8;
    private const int FirstRest = 48;
    private const int LongestRest = 1536;
    private const int FirstProbe = 24;
    private const int LongestProbe = 2048;
    private const double ProbeShare = 0.01;

    private double _account;
    private int _rest;
    private int _nextRest;
    private int _sinceDraft;
    private int _probeInterval;

    /// <summary>Speculation rests: the account was overdrawn.</summary>
    public bool Resting => _rest > 0;

    public void BeginSequence()
    {
        _account = 0;
        _rest = 0;
        _nextRest = FirstRest;
        _sinceDraft = 0;
        _probeInterval = FirstProbe;
    }

    /// <summary>Is it time to try the draft although it is not expected to pay?</summary>
    /// <param name="cost">Price of the trial in tokens.</param>
    public bool ProbeDue(double cost) => _sinceDraft >= _probeInterval && cost <= ProbeShare * _sinceDraft;

    /// <summary>As <see cref="ProbeDue"/>; the next one comes later.</summary>
    public bool MayProbe(double cost)
    {
        if (!ProbeDue(cost))
        {
            return false;
        }

        _probeInterval = Math.Min(2 * _probeInterval, LongestProbe);
        return true;
    }

    /// <summary>The draft was expected to pay, and ran.</summary>
    public void DraftPays() => _probeInterval = FirstProbe;

    /// <param name="speculated">Something was drafted or verified beyond the root.</param>
    /// <param name="drafted">The draft model ran.</param>
    /// <param name="committed">Tokens of the step.</param>
    /// <param name="plain">Tokens that plain decoding commits in the same time.</param>
    public void Book(bool speculated, bool drafted, int committed, double plain)
    {
        _sinceDraft = drafted ? 0 : _sinceDraft + committed;
        _rest = Math.Max(0, _rest - committed);
        if (!speculated)
        {
            return;
        }

        _account = Math.Min(_account + committed - plain, Savings);
        if (_account > Savings / 2)
        {
            _nextRest = FirstRest;
        }
        else if (_account < -Overdraft)
        {
            _rest = _nextRest;
            _nextRest = Math.Min(2 * _nextRest, LongestRest);
            _account = 0;
        }
    }
}
