namespace Understory.Decoding.Planning;

/// <summary>
/// Keeps one source of proposals from ever costing <c>auto</c> more than plain decoding. Every step that the source was used in is booked
/// against what plain decoding would have committed in the same time; when the account is overdrawn, the source rests, twice as long each
/// time. A draft that is thought not to pay is tried again now and then, at intervals that double.
/// </summary>
/// <param name="firstCredit">
/// Tokens that it may lose in the first sequence after a start, beside <see cref="Share"/> of those committed.
/// </param>
public sealed class Account(double firstCredit)
{
    /// <summary>
    /// Tokens that a source may lose before it rests, or what earlier sequences left it if that is more. Chosen: of 256 tokens some 3 %
    /// over all rests. By 2 alone, n-grams that had paid in every text rested through most of the next one after its first misses (greedy
    /// chat on a model of 2.8M weights, 128 tokens: 1.3 times off instead of 1.5).
    /// </summary>
    private const double Overdraft = 2;

    /// <summary>
    /// Most tokens of earlier gains that may be lost again. Chosen: a run of bad luck is no reason to rest, a change of the text is.
    /// </summary>
    private const double Savings = 8;

    /// <summary>
    /// Bounds of what it may lose in a later one: what earlier ones gained is believed to some degree, and text of another kind gets its
    /// chance. Chosen by simulating planning: with 16, a text in which nothing was accepted, after texts in which much was, took 9 %
    /// longer in the mean of machines; with 4 it takes 3 %, and nothing else more than with 16.
    /// </summary>
    private const double LeastCredit = 1.5;
    private const double MostCredit = 4;

    /// <summary>
    /// Most tokens beyond its credit that a source keeps of what it gained or did not spend, to invest: a draft that pays may take in a
    /// prompt of thousands of tokens, and one that was never asked gets its chance at one some day. Chosen.
    /// </summary>
    private const double MostReserve = 256;

    /// <summary>Share of the tokens committed that a source may lose beside its credit. Chosen.</summary>
    private const double Share = 0.01;

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

    // Null: no sequence was decoded yet.
    private double? _credit;
    private double _reserve;

    // Of the sequence: what the source gained over plain decoding, and tokens committed by whatever means.
    private double _gained;
    private int _committed;
    private double _balance;
    private int _rest;
    private int _nextRest = FirstRest;
    private int _sinceUse;
    private int _probeInterval = FirstProbe;

    private double Credit => _credit ?? firstCredit;

    /// <summary>The source rests: its account was overdrawn.</summary>
    public bool Resting => _rest > 0;

    /// <summary>
    /// May a use of the source cost so many tokens, if nothing comes of it? In no sequence can it lose more than
    /// <c>credit + Share * committed</c>, beside what it gained there and what its reserve holds; what was lost or gained moves the credit
    /// of the next sequence, and what that cannot hold the reserve.
    /// </summary>
    /// <param name="investment">Tokens that have to be spent on uses to come: the reserve pays for them first.</param>
    public bool Affords(double cost, double investment = 0) =>
        cost + Math.Max(0, investment - _reserve) <= Credit + (Share * _committed) + _gained;

    /// <summary>Forgets what was gained and lost so far.</summary>
    public void Clear()
    {
        BeginSequence();
        _credit = null;
        _reserve = 0;
    }

    public void BeginSequence()
    {
        if (_committed > 0)
        {
            double left = Credit + (Share * _committed) + _gained;
            _credit = Math.Clamp(left, LeastCredit, MostCredit);
            _reserve = Math.Min(_reserve + Math.Max(0, left - MostCredit), MostReserve);
        }

        _gained = 0;
        _committed = 0;
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

    /// <summary>Tokens spent on a use to come: they are no bad luck of the source, and it does not rest for them.</summary>
    /// <param name="reserved">The reserve may pay.</param>
    public void Invested(double cost, bool reserved)
    {
        double paid = reserved ? Math.Min(cost, _reserve) : 0;
        _reserve -= paid;
        _gained -= cost - paid;
    }

    /// <param name="used">The step used the source.</param>
    /// <param name="committed">Tokens of the step.</param>
    /// <param name="plain">Tokens that plain decoding commits in the same time.</param>
    public void Book(bool used, int committed, double plain)
    {
        _committed += committed;
        _sinceUse = used ? 0 : _sinceUse + committed;
        _rest = Math.Max(0, _rest - committed);
        if (!used)
        {
            return;
        }

        _gained += committed - plain;
        _balance = Math.Min(_balance + committed - plain, Savings);
        if (_balance > Savings / 2)
        {
            _nextRest = FirstRest;
        }
        else if (_balance < -Math.Max(Overdraft, _credit ?? 0))
        {
            _rest = _nextRest;
            _nextRest = Math.Min(2 * _nextRest, LongestRest);
            _balance = 0;
        }
    }
}
