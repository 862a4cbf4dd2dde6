using Understory.Decoding.Tree;

namespace Understory.Decoding.Planning;

/// <summary>What a draft pass is worth at the beginning of a step.</summary>
public enum Verdict
{
    No,
    Pays,

    /// <summary>It is not expected to pay; that is found out now and then.</summary>
    Trial,
}

/// <summary>
/// Weighs tokens against seconds: whether the draft model runs, which of its rows, whether anything is looked up, how much is verified.
/// Questions change nothing; what is learned is told by calls that say so. A second is worth <see cref="Price"/> tokens: what decoding
/// lately earned in one, never less than plain decoding would. A tree is worth
/// <c>max over n of (sum of its n largest a) - Price * C_target(1 + n)</c>; maximising that at the price that is attained maximises tokens
/// per second (Dinkelbach's argument). The cost curves are those of one target and one draft, on the threads and the device that they run
/// on.
/// </summary>
public sealed class Ledger(CostModel target, CostModel? draft, AcceptanceModel acceptance)
{
    /// <summary>What a step leaves of the memory of earnings: some 30 steps are remembered. Chosen.</summary>
    private const double Memory = 0.97;

    /// <summary>
    /// A step counts as at most so many plain ones, and its draft passes: a stall would have hit plain decoding as well. Chosen.
    /// </summary>
    private const double Stall = 2;

    /// <summary>A row that is measured for a pass counts as at most so many times the average. Chosen.</summary>
    private const double RowStall = 4;

    /// <summary>Weight of the latest measurement in the averages of rows and look-ups. Chosen.</summary>
    private const double Rate = 0.1;

    /// <summary>
    /// Passes of several rows after which one goes without rows that look ahead: what a single row takes is what all is held against, and
    /// nothing else measures it. Chosen.
    /// </summary>
    private const int PlainEvery = 32;

    /// <summary>Steps one after the other in which nothing that was verified was right, after which one goes without. Chosen.</summary>
    private const int MostFruitless = 6;

    /// <summary>
    /// The root alone must promise this share of its pass before rows are picked: with guesses beside it a round may pay where it does
    /// not. Chosen.
    /// </summary>
    private const double Hope = 0.5;

    /// <summary>
    /// The draft's first pass must be affordable at so many times what it is expected to cost: a prompt half taken in is worth nothing.
    /// Chosen.
    /// </summary>
    private const double CatchUpMargin = 1.2;

    /// <summary>
    /// A draft is used while its gain would pay if it were so many standard deviations better than it is taken to be: what that may cost
    /// is bounded by its account, and only use tells. Chosen by simulating planning.
    /// </summary>
    private const double Optimism = 0.5;

    /// <summary>
    /// Catching up is spread over so many tokens to come, or as many as earlier answers had, of which steps are taken to commit two each.
    /// Chosen.
    /// </summary>
    private const int LeastHorizon = 64;

    /// <summary>Weight of the latest answer in the average of their lengths. Chosen.</summary>
    private const double LengthRate = 0.25;

    /// <summary>
    /// Tokens that drafts, and what the text suggests, may lose in the first sequence after a start. Chosen by simulating planning: where
    /// nothing at all is accepted the first 256 tokens lose 2.5 % in the mean and 3.5 % at worst; with 2.5 tokens for drafts those that
    /// pay began later.
    /// </summary>
    private const double FirstDraftCredit = 4;
    private const double FirstTextCredit = 2;

    /// <summary>
    /// Shares of the time for look-ups, and for weighing first rounds, that come to nothing. Chosen: planning that ends in <c>off</c> may
    /// cost a percent, what is not budgeted included.
    /// </summary>
    private const double LookupShare = 0.005;
    private const double WeighingShare = 0.0025;

    private readonly Account _drafting = new(FirstDraftCredit);
    private readonly Account _text = new(FirstTextCredit);
    private readonly LookupBudget _lookups = new(LookupShare);
    private readonly RiderBudget _riders = new();

    // Weighing a first round takes look-ups too: where it comes to nothing it is not done in every step.
    private readonly LookupBudget _weighing = new(WeighingShare);
    private double _tokens;
    private double _seconds;

    // Tokens of this answer so far, and of earlier ones.
    private int _answered;
    private double _usual = LeastHorizon;

    // What a row of a draft round costs beside the pass: look-ups, mostly. It matters where a pass takes microseconds.
    private double _rowSeconds;

    // What it costs to look up the children of one node, and what this step's look-ups took; below 0: none were made.
    private double _expansionSeconds;
    private double _lookupSeconds = -1;

    // What this step's draft passes took, without what only took in committed tokens; and that.
    private double _draftSeconds;
    private double _catchUpSeconds;

    // Passes since the last one of a single row.
    private int _wide;

    // Steps in which all that was verified was wrong, since the last other one.
    private int _fruitless;

    // The draft takes in a long prompt, chunk by chunk; had proposed something in this sequence before this step; has done so now.
    private bool _catchingUp;
    private bool _tookIn;
    private bool _drafted;

    public CostModel Target { get; } = target;

    public CostModel? Draft { get; } = draft;

    public AcceptanceModel Acceptance { get; } = acceptance;

    /// <summary>The draft model has cost more than it gave, and is not asked for a while.</summary>
    public bool DraftRests => _drafting.Resting;

    /// <summary>Weighing a first round is worth its time in this step.</summary>
    public bool WeighingDue => _weighing.Due;

    /// <summary>What the text suggests has cost more than it gave: it is scored, not verified.</summary>
    public bool TextRests => _text.Resting;

    /// <summary>A look-up is worth its time in this step.</summary>
    public bool LookupDue => _lookups.Due;

    /// <summary>Something of what the text suggests could be verified and lost.</summary>
    public bool TextAffords(int context) => _text.Affords(OneNode(context));

    /// <summary>Tokens that a second of decoding is worth at <paramref name="context"/> positions.</summary>
    public double Price(int context)
    {
        double plain = 1 / Target.Seconds(1, context);
        return _seconds > 0 ? Math.Max(plain, _tokens / _seconds) : plain;
    }

    /// <summary>
    /// How many nodes of the sorted tree to verify, from <paramref name="least"/> (0: plain decoding) to <paramref name="most"/>.
    /// Every n is looked at: the cost of a pass has steps where tiles fill up. Unless something has to be verified, nothing is that its
    /// source could not afford to lose.
    /// </summary>
    public int Choose(TokenTree tree, int context, int least, int most)
    {
        double price = Price(context);
        most = least == 0 && _fruitless >= MostFruitless ? 0 : Math.Min(most, tree.OrderedCount);
        double sum = 0;
        // What a constraint leaves no choice in is no risk.
        int sure = 0;
        double best = double.NegativeInfinity;
        int chosen = 0;
        double one = Target.Seconds(1, context);
        Account payer = _draftSeconds > 0 ? _drafting : _text;
        for (int n = 0; n <= most; n++)
        {
            if (n > 0)
            {
                float a = tree.A(tree.Ordered(n - 1));
                sum += a;
                sure += a >= 1 ? 1 : 0;
            }

            double seconds = Target.Hopeful(1 + n, context);
            double value = sum - (price * seconds);
            double risk = ((_draftSeconds + seconds - one) / one) - sure;
            bool affordable = least > 0 || risk <= 0 || payer.Affords(risk);
            if (n >= Math.Min(least, most) && value > best && affordable)
            {
                best = value;
                chosen = n;
            }
        }

        return chosen;
    }

    /// <summary>
    /// What the best <paramref name="nodes"/> of the sorted tree are expected to gain over verifying none, in tokens, net of their rows.
    /// </summary>
    public double Gain(TokenTree tree, int nodes, int context)
    {
        double sum = 0;
        for (int place = 0; place < nodes; place++)
        {
            sum += tree.A(tree.Ordered(place));
        }

        return sum - (Price(context) * (Target.Seconds(1 + nodes, context) - Target.Seconds(1, context)));
    }

    /// <summary>Rows that are to look ahead beside so many verified nodes, <paramref name="most"/> at most.</summary>
    public int Riders(bool greedy, int nodes, int context, int most) =>
        nodes == 0 && _wide >= PlainEvery ? 0 : _riders.Rows(Target, Price(context), greedy, nodes, context, most);

    /// <summary>Tokens that one more verified row costs near <paramref name="nodes"/> nodes.</summary>
    public double RowPrice(int nodes, int context) =>
        Math.Max(0, Price(context) * (Target.Hopeful(nodes + 3, context) - Target.Hopeful(nodes + 1, context)) / 2);

    /// <summary>Tokens that looking up the children of a node costs, and verifying one of them.</summary>
    public double ExpansionPrice(int context) => RowPrice(0, context) + (Price(context) * _expansionSeconds);

    /// <summary>Tokens that a draft pass of so many rows costs.</summary>
    public double RoundPrice(int rows, int context) => Price(context) * (Draft!.Seconds(rows, context) + (rows * _rowSeconds));

    /// <summary>
    /// Tokens that verifying the draft's children of the root gains, net of their rows:
    /// <c>max over n of (sum of the n first averages) - Price * (C_target(1 + n) - C_target(1))</c>.
    /// </summary>
    public double RootGain(Stage stage, bool greedy, int context, double hoped = 0)
    {
        double price = Price(context);
        double one = Target.Seconds(1, context);
        double best = 0;
        double sum = hoped;
        for (int rank = 0; rank < AcceptanceModel.Ranks; rank++)
        {
            sum += Acceptance.Average(stage, greedy, rank);
            best = Math.Max(best, sum - (price * (Target.Hopeful(2 + rank, context) - one)));
        }

        return best;
    }

    /// <summary>A cheap look before any row is picked: can a first round be afforded, and may it pay, or is a trial due?</summary>
    /// <param name="pending">Committed tokens that the draft model has not seen.</param>
    public bool DraftMayPay(Stage stage, bool greedy, int pending, int context)
    {
        double one = Target.Seconds(1, context);
        double round = Draft!.Seconds(1, context);
        double caughtUp = Draft.Seconds(pending, context);
        if (!Affords(round / one, (caughtUp - round) / one, context))
        {
            return false;
        }

        double price = Price(context);
        return RootGain(stage, greedy, context, Optimism * Acceptance.Doubt(stage, greedy)) > Hope * price * round
            || (_drafting.TrialDue(price * caughtUp) && PerfectDraftPays(RowPrice(0, context), price * round));
    }

    /// <summary>
    /// Is a first round worth its passes, or would it be if the draft were a little better than it is taken to be, and can it be afforded?
    /// Catching up with the committed tokens is an investment: it is spread over the tokens to come.
    /// </summary>
    /// <param name="net">Expected gain of its rows, in tokens, net of a pass over them alone.</param>
    public Verdict DraftPays(Stage stage, bool greedy, double net, int rows, int pending, int tokensLeft, int context)
    {
        double price = Price(context);
        double one = Target.Seconds(1, context);
        double round = Draft!.Seconds(rows, context);
        double catchUp = Draft.Seconds(pending + rows - 1, context) - round;
        double steps = Math.Min(tokensLeft, Math.Max(LeastHorizon, _usual - _answered)) / 2;
        double doubt = Optimism * Acceptance.Doubt(stage, greedy);
        double hoped = net + RootGain(stage, greedy, context, doubt) - RootGain(stage, greedy, context);
        double margin = (_catchingUp ? 1 : CatchUpMargin) / one;
        if (hoped > 0 && hoped * steps > price * catchUp && Affords(margin * round, margin * catchUp, context))
        {
            return Verdict.Pays;
        }

        double trial = price * Draft.Seconds(pending, context);
        return _drafting.TrialDue(trial) && _drafting.Affords(trial)
            && PerfectDraftPays(RowPrice(0, context), price * Draft.Seconds(1, context)) ? Verdict.Trial : Verdict.No;
    }

    public void BeginSequence()
    {
        _usual += _answered > 0 ? LengthRate * (_answered - _usual) : 0;
        _answered = 0;
        _tokens = _seconds = 0;
        Acceptance.BeginSequence();
        _drafting.BeginSequence();
        _text.BeginSequence();
        _lookups.BeginSequence();
        _weighing.BeginSequence();
        _riders.BeginSequence();
        _lookupSeconds = -1;
        _fruitless = 0;
        _draftSeconds = _catchUpSeconds = 0;
        _catchingUp = _tookIn = _drafted = false;
    }

    /// <summary>Measurements are not taken into account: while code is being compiled they say nothing of later passes.</summary>
    public void Freeze(bool frozen)
    {
        Target.Frozen = frozen;
        if (Draft is not null)
        {
            Draft.Frozen = frozen;
        }
    }

    /// <summary>Forgets all but the cost curves.</summary>
    public void Forget()
    {
        _rowSeconds = _expansionSeconds = 0;
        (_answered, _usual) = (0, LeastHorizon);
        _lookups.Clear();
        _weighing.Clear();
        _riders.Clear();
        _drafting.Clear();
        _text.Clear();
        Acceptance.Clear();
    }

    /// <summary>A step goes by without a first round being weighed.</summary>
    public void WeighingWaited() => _weighing.Waited();

    /// <summary>Weighing a first round took so long.</summary>
    /// <param name="gain">Tokens that it is expected to gain; 0 if it is not run.</param>
    public void Weighed(double seconds, double gain, int context) => _weighing.Book(seconds, gain, Price(context));

    /// <summary>The verdict on a first round was acted upon.</summary>
    public void DraftTaken(bool trial)
    {
        if (trial)
        {
            _drafting.Tried();
        }
        else
        {
            _drafting.Pays();
        }
    }

    /// <summary>A draft pass was measured; what of the first one took in the prompt is an investment.</summary>
    /// <param name="rows">All of the pass.</param>
    /// <param name="picked">Those of them that something was asked under.</param>
    /// <param name="perRow">Seconds that each of these took beside the pass.</param>
    public void Drafted(int rows, int picked, int context, double seconds, double perRow)
    {
        double expected = Draft!.Seconds(rows, context);
        double booked = Math.Min(seconds, Stall * expected);
        double round = _drafted ? booked : booked * Math.Min(1, Draft.Seconds(picked, context) / expected);
        Draft.Observe(rows, context, seconds);
        _draftSeconds += round;
        _catchUpSeconds += booked - round;
        (_catchingUp, _drafted) = (false, true);
        _rowSeconds = Average(_rowSeconds, Math.Max(0, perRow));
    }

    /// <summary>A pass that only took in committed tokens was measured.</summary>
    public void CaughtUp(int rows, int context, double seconds)
    {
        _catchUpSeconds += Math.Min(seconds, Stall * Draft!.Seconds(rows, context));
        Draft.Observe(rows, context, seconds);
        _catchingUp = true;
    }

    /// <summary>Look-ups under so many nodes took so long.</summary>
    public void LookedUp(double seconds, int expansions)
    {
        _lookupSeconds = Math.Max(_lookupSeconds, 0) + seconds;
        _expansionSeconds = Average(_expansionSeconds, seconds / expansions);
    }

    /// <summary>A step goes by without a look-up.</summary>
    public void LookupWaited() => _lookups.Waited();

    /// <summary>A step is over.</summary>
    public void Book(in StepEntry step)
    {
        if (_lookupSeconds >= 0)
        {
            _lookups.Book(_lookupSeconds, step.Drafted ? 0 : step.Gain, Price(step.Context));
            _lookupSeconds = -1;
        }

        int rows = 1 + step.Nodes + step.Riders;
        _wide = rows == 1 ? 0 : _wide + 1;
        _fruitless = step.Nodes > 0 && step.Committed == 1 ? _fruitless + 1 : 0;
        double drafted = _draftSeconds + _catchUpSeconds;
        double booked = Math.Min(step.Seconds, (Stall * Target.Seconds(rows, step.Context)) + drafted);
        double drift = Target.Observe(rows, step.Context, step.TargetSeconds);
        if (step.DraftSeconds == 0)
        {
            Draft?.Follow(drift);
        }

        _riders.Book(step.Greedy, step.Riders, step.Found);
        Acceptance.Committed(step.Committed);
        _answered += step.Committed;
        _tokens = (_tokens * Memory) + step.Committed;
        _seconds = (_seconds * Memory) + booked;
        if (step.Auto)
        {
            double one = Target.Seconds(1, step.Context);
            // Neither the draft nor the text is to blame for rows that looked ahead.
            double looking = Target.Seconds(rows, step.Context) - Target.Seconds(1 + step.Nodes, step.Context);
            double plain = Math.Max(booked - looking - _catchUpSeconds, 0) / one;
            _drafting.Invested(_catchUpSeconds / one, reserved: !_tookIn);
            _drafting.Book(step.Drafted, step.Committed, plain);
            _text.Book(!step.Drafted && step.Nodes > 0, step.Committed, plain);
        }

        _tookIn = _drafted;
        _draftSeconds = _catchUpSeconds = 0;
    }

    /// <summary>Can a draft pass be lost, what it takes in, and a node that is verified for it?</summary>
    private bool Affords(double round, double catchUp, int context) => _tookIn
        ? _drafting.Affords(round + catchUp + OneNode(context))
        : _drafting.Affords(round + OneNode(context), catchUp);

    /// <summary>Plain passes that verifying one node takes beside the one that is made anyhow.</summary>
    private double OneNode(int context) => (Target.Hopeful(2, context) / Target.Seconds(1, context)) - 1;

    /// <summary>Would one sure token earn its row and its draft pass? If not even that, a trial has nothing to find out.</summary>
    private static bool PerfectDraftPays(double rowPrice, double passPrice) => rowPrice + passPrice < 1;

    /// <summary>A running average that a single stall of the machine moves little; if the first one stalled, the second is taken.</summary>
    private static double Average(double average, double seconds) => average == 0 || seconds < average / RowStall
        ? seconds : average + (Rate * (Math.Min(seconds, RowStall * average) - average));
}
