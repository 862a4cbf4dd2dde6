namespace Understory.Decoding.Planning;

/// <summary>
/// Keeps one source of proposals from ever costing <c>auto</c> more than plain decoding. Every step that the source was used in is booked
/// against what plain decoding would have committed in the same time; when the account is overdrawn, the source rests, twice as long each
/// time. A draft that is thought not to pay is tried again now and then, at intervals that double.
/// </summary>
public sealed class Account
{
    /// <summary>Tokens that a source may lose before it rests. Chosen: of 256 tokens some 3 % over all rests.</summary>
    private const double Overdraft = 2;

    /// <summary>
    /// Most tokens of earlier gains that may be lost again. Chosen: a run of bad luck is no reason to rest, a change of the text is.
    /// </summary>
    private const double Savings = 8;

    /// <summary>
    /// Tokens of the first rest. Chosen, as is that each one is twice as long as the last, up to <see cref="LongestRest"/>.
    /// </summary>
    private const int FirstRest = 48;
    private const int LongestRest = 1536;

    /// <summary>
    /// Tokens before the first trial of a source that is not expected to pay; doubled by each, up to <see cref="LongestProbe"/>. Chosen.
    /// </summary>
    private const int FirstProbe = 24;
    private const int LongestProbe = 2048;

    /// <summary>Share of the time since the last use that a trial may take. Chosen: with what rests cost, 2 % are not exceeded.</summary>
    private const double ProbeShare = 0.01;

    private double _balance;
    private int _rest;
    private int _nextRest = FirstRest;
    private int _sinceUse;
    private int _probeInterval = FirstProbe;

    /// <summary>The source rests: its account was overdrawn.</summary>
    public bool Resting => _rest > 0;

    public void BeginSequence()
    {
        _balance = 0;
        _rest = 0;
        _nextRest = FirstRest;
        _sinceUse = 0;
        _probeInterval = FirstProbe;
    }

    /// <summary>Is it time to try the source although it is not expected to pay?</summary>
    /// <param name="cost">Price of the trial in tokens.</param>
    public bool TrialDue(double cost) => _sinceUse >= _probeInterval && cost <= ProbeShare * _sinceUse;

    /// <summary>The source is used although it is not expected to pay: the next trial comes later.</summary>
    public void Tried() => _probeInterval = Math.Min(2 * _probeInterval, LongestProbe);

    /// <summary>The source is used because it is expected to pay.</summary>
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

        _balance = Math.Min(_balance + committed - plain, Savings);
        if (_balance > Savings / 2)
        {
            _nextRest = FirstRest;
        }
        else if (_balance < -Overdraft)
        {
            _rest = _nextRest;
            _nextRest = Math.Min(2 * _nextRest, LongestRest);
            _balance = 0;
        }
    }
}
