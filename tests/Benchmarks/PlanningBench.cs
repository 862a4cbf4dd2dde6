using System.Diagnostics;
using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;
using Understory.Models.Architecture;

namespace Understory.Benchmarks;

/// <summary>
/// What planning takes of a step in <c>auto</c> that comes to plain decoding, beside a target pass of 90 us: on a text of words in random
/// order, where what stood before suggests something and is hardly ever right. Passes themselves are not run: their seconds are told.
/// </summary>
internal static class PlanningBench
{
    private const int Depth = 20;
    private const int Tokens = 256;
    private const int Texts = 40;
    private const double Pass = 90e-6;

    // What passes of 1, 2, 4, ... rows cost on a CPU that holds the model in its caches, over one row.
    private static readonly (int Rows, double Ratio)[] _curve = [(1, 1), (2, 1.2), (4, 1.5), (8, 2.5), (16, 4.6), (32, 8.2)];

    public static void Run()
    {
        // The first round has the code compiled.
        foreach ((bool draft, bool told) in new[] { (false, false), (true, false), (false, true), (true, true) })
        {
            var ledger = new Ledger(new CostModel(), draft ? new CostModel(1e-4) : null, new AcceptanceModel());
            foreach ((int rows, double ratio) in _curve)
            {
                ledger.Target.Calibrate(rows, Pass * ratio);
                ledger.Draft?.Calibrate(rows, 0.13 * Pass * ratio);
            }

            var drafter = new WrongDrafter(ledger.Draft);
            var ngram = new NgramDrafter(null, 2048);
            var grower = new TreeGrower(ledger, [ngram], draft ? drafter : null, Depth, TreeVerifier.MaxNodes, TimeProvider.System);
            var shares = new List<double>();
            int drafted = 0;
            int steps = 0;
            for (int text = 0; text < Texts; text++)
            {
                (double share, int draftedSteps) = Decode(ledger, grower, draft ? drafter : null, text);
                shares.Add(share);
                drafted += draftedSteps;
                steps += Tokens;
            }

            double[] settled = [.. shares.Skip(Texts / 4).Order()];
            if (!told)
            {
                continue;
            }

            Console.WriteLine($"{(draft ? "n-grams and a draft" : "n-grams alone"),-20} planning of steps that end in off: "
                + $"{100 * settled[settled.Length / 2]:F2} % of a {Pass * 1e6:F0} us pass "
                + $"({settled[settled.Length / 2] * Pass * 1e6:F2} us), median of {settled.Length} texts of {Tokens} tokens "
                + $"({100 * settled[0]:F2} to {100 * settled[^1]:F2}; the first text {100 * shares[0]:F2}); "
                + $"{drafted} of {steps} steps drafted");
        }
    }

    /// <summary>Mean seconds of planning in steps without speculation, as a share of a pass.</summary>
    private static (double Share, int Drafted) Decode(Ledger ledger, TreeGrower grower, WrongDrafter? drafter, int seed)
    {
        var random = new Random(seed);
        int Word() => (int)(600 * Math.Pow(random.NextDouble(), 2));
        int[] prompt = [.. Enumerable.Range(0, 150).Select(_ => Word())];
        var context = new TokenContext(prompt, SamplingParams.Greedy, 4096, prompt.Length + Tokens + Depth + 1);
        var tree = new TokenTree(384);
        DraftCache? cache = drafter is null ? null : new DraftCache(null);
        ledger.BeginSequence();
        double planning = 0;
        int plain = 0;
        int drafted = 0;
        for (int i = 0; i < Tokens; i++)
        {
            long start = Stopwatch.GetTimestamp();
            var limits = new GrowthLimits(Ngram: true, Draft: true, Auto: true, 0, 0, Math.Min(Depth, Tokens - i), Tokens - i);
            GrowthReport growth = grower.Grow(tree, context, cache, limits);
            int nodes = ledger.Choose(tree, context.Length, 0, TreeVerifier.MaxNodes);
            int decided = Word();
            grower.Learn(tree, context, 0, decided);
            double gain = ledger.Gain(tree, nodes, context.Length);
            double took = Stopwatch.GetElapsedTime(start).TotalSeconds;
            double pass = ledger.Target.Seconds(1 + nodes, context.Length);
            long booking = Stopwatch.GetTimestamp();
            ledger.Book(new StepEntry(
                context.Length, nodes, gain, 1, pass, growth.DraftSeconds, pass + growth.DraftSeconds + took,
                growth.DraftPasses > 0 && !growth.CaughtUp)
            {
                Auto = true,
            });
            took += Stopwatch.GetElapsedTime(booking).TotalSeconds;
            context.Append(decided);
            if (growth.DraftPasses == 0 && nodes == 0)
            {
                planning += took;
                plain++;
            }

            drafted += growth.DraftPasses > 0 ? 1 : 0;
        }

        return (planning / Math.Max(1, plain) / Pass, drafted);
    }

    /// <summary>A draft model that is sure and wrong; a pass takes no time, and says what one would take.</summary>
    private sealed class WrongDrafter(CostModel? cost) : IDraftModel
    {
        private int _slots;

        public Stage Stage => Stage.Draft;

        public int Branch => 4;

        public int MaxRows => 32;

        public int MaxPending => 64;

        public int ContextLength => int.MaxValue;

        public bool WantsStates => false;

        public int Rows { get; private set; }

        public double Seconds { get; private set; }

        public DraftCache CreateCache(KvCache target, int context) => new(null);

        public void BeginStep(DraftCache cache, TokenContext context) => _slots = 0;

        public int SlotsLeft(TokenContext context) => 512 - _slots;

        public void Feed(DraftCache cache, TokenContext context, int position, ReadOnlySpan<float> state)
        {
        }

        public void CatchUp(DraftCache cache, TokenContext context)
        {
            Rows = Math.Min(MaxPending, context.Length - cache.Committed);
            cache.Committed += Rows;
            Seconds = cost!.Seconds(Rows, 0);
        }

        public void Begin(DraftCache cache, TokenContext context) => Rows = context.Length - cache.Committed;

        public int Add(TokenContext context, ReadOnlySpan<int> slots, ReadOnlySpan<int> tokens, int state)
        {
            Rows++;
            return _slots++;
        }

        public void Run(DraftCache cache, TokenContext context)
        {
            cache.Committed = context.Length;
            Seconds = cost!.Seconds(Rows, 0);
        }

        public int Candidates(TokenContext context, int answer, int ahead, Span<int> tokens, Span<float> probabilities)
        {
            if (ahead > 0)
            {
                return 0;
            }

            for (int rank = 0; rank < Branch; rank++)
            {
                tokens[rank] = 3000 + rank;
                probabilities[rank] = rank == 0 ? 0.6f : 0.1f;
            }

            return Branch;
        }

        public void Accept(DraftCache cache, ReadOnlySpan<int> slots) => cache.Committed += slots.Length;
    }
}
