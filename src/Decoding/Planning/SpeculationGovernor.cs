namespace Understory.Decoding.Planning;

/// <summary>
/// Keeps one source of proposals from ever costing <c>auto</c> more than plain decoding. It books every step that the source was used in against
/// what plain decoding would have committed in the same time; when the account is overdrawn, the source rests, twice as long each time. A draft that
/// is thought not to pay is tried again now and then, at intervals that double and at a cost of at most one percent.
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
    private int _sinceUse;
    private int _probeInterval;

    /// <summary>The source rests: its account was overdrawn.</summary>
    public bool Resting => _rest > 0;

    public void BeginSequence()
    {
        _account = 0;
        _rest = 0;
        _nextRest = FirstRest;
        _sinceUse = 0;
        _probeInterval = FirstProbe;
    }

    /// <summary>Is it time to try the source although it is not expected to pay?</summary>
    /// <param name="cost">Price of the trial in tokens.</param>
    public bool ProbeDue(double cost) => _sinceUse >= _probeInterval && cost <= ProbeShare * _sinceUse;

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

    /// <summary>The source is expected to pay.</summary>
    public void Pays() => _probeInterval = FirstProbe;

    /// <param name="used">The step used the source.</param>
    /// <param name="committed">Tokens of the step.</param>
    /// <param name="plain">Tokens that plain decoding commits in the same time.</param>
    public void Book(bool used, int committed, double plain)
    {
        _sinceUse = used ? 0 : _sinceUse + committed;
        _rest = Math.Max(0, _rest - committed);
        if (!used)
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
