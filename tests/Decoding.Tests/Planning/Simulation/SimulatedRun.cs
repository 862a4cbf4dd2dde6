using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;

namespace Understory.Decoding.Tests.Planning.Simulation;

/// <summary>What a text took.</summary>
/// <param name="Seconds">All of it.</param>
/// <param name="First">Its first <see cref="Beginning"/> tokens.</param>
internal readonly record struct Taken(double Seconds, double First)
{
    public const int Beginning = 64;

    public static Taken operator +(Taken a, Taken b) => new(a.Seconds + b.Seconds, a.First + b.First);

    /// <summary>Seconds of the beginning, after a step: of one that goes beyond it a share.</summary>
    public static double Early(double before, double seconds, int done, int committed) =>
        done >= Beginning ? before : before + ((seconds - before) * Math.Min(1, (Beginning - done) / (double)committed));
}

/// <summary>
/// Decodes guessed texts on a made-up machine with the real ledger and the real growing of trees. What the ledger sees of time has 5 % of
/// noise, a stall of three times in a pass of a hundred, and a memory that is 1.5 times as slow from the middle of every text on; what is
/// counted is the time without noise and stalls, which fall on all arms alike.
/// </summary>
internal sealed class SimulatedRun
{
    private const int Depth = 20;
    private const double Noise = 0.05;
    private const int StallsEvery = 100;
    private const double Stall = 3;
    private const double Slower = 1.5;

    private readonly Machine _machine;
    private readonly Random _random;
    private readonly TokenTree _tree = new(384);
    private readonly ScriptedClock _clock = new();
    private readonly Ledger _ledger;
    private double _counted;
    private double _early;
    private double _memory = 1;

    public SimulatedRun(Machine machine, int seed)
    {
        _machine = machine;
        _random = new Random(seed);
        _ledger = new Ledger(new CostModel(), new CostModel(1e-4), new AcceptanceModel());
        // As the measurement at the start does it: the fastest of a few passes.
        foreach (int rows in (ReadOnlySpan<int>)[1, 2, 4, 8, 16, 3, 6, 12, 32])
        {
            _ledger.Target.Calibrate(rows, machine.TargetSeconds(rows) * 0.97);
            _ledger.Draft!.Calibrate(rows, machine.DraftSeconds(rows) * 0.97);
        }
    }

    /// <summary>Seconds in which plain decoding takes the whole text, and its beginning.</summary>
    public static Taken Off(Machine machine, int tokens) => new(
        Enumerable.Range(0, tokens).Sum(i => machine.TargetSeconds(1) * Memory(i, tokens)), Taken.Beginning * machine.TargetSeconds(1));

    /// <summary>
    /// Seconds in which a chain of fixed length decodes the text: so many draft passes of one row, then a target pass over all.
    /// </summary>
    public static Taken Chain(Machine machine, GuessedText text, int length, int tokens)
    {
        double seconds = 0;
        double early = 0;
        int done = 0;
        int pending = text.Prompt;
        while (done < tokens)
        {
            double memory = Memory(done, tokens);
            double drafting = machine.DraftSeconds(pending) + ((length - 1) * machine.DraftSeconds(1));
            seconds += memory * (drafting + machine.TargetSeconds(1 + length));
            int right = 0;
            while (right < length && text.Place(text.Prompt + done + right, right) == 0)
            {
                right++;
            }

            early = Taken.Early(early, seconds, done, right + 1);
            done += right + 1;
            pending = right == length ? 2 : 1;
        }

        return new Taken(seconds, early);
    }

    /// <summary>Seconds in which the ledger, or a mode that is forced, decodes the text.</summary>
    public Taken Decode(GuessedText text, int tokens, SpeculationMode mode)
    {
        int[] prompt = [.. Enumerable.Range(0, text.Prompt).Select(GuessedText.Token)];
        var drafter = new ScriptedDrafter(text, _clock, rows => Observed(_machine.DraftSeconds(rows)));
        var cache = new DraftCache(null);
        var grower = new TreeGrower(_ledger, [new ScriptedNgram(text)], drafter, Depth, TreeVerifier.MaxNodes, _clock);
        var context = new TokenContext(prompt, SamplingParams.Greedy, 4 * GuessedText.Vocabulary, prompt.Length + tokens + Depth + 1);
        _ledger.BeginSequence();
        _counted = _early = 0;
        while (context.Length < prompt.Length + tokens)
        {
            int done = context.Length - prompt.Length;
            _memory = Memory(done, tokens);
            Step(grower, context, cache, drafter, tokens - done, mode);
            _early = Taken.Early(_early, _counted, done, context.Length - prompt.Length - done);
        }

        return new Taken(_counted, _early);
    }

    private static double Memory(int done, int tokens) => done < tokens / 2 ? 1 : Slower;

    private void Step(TreeGrower grower, TokenContext context, DraftCache cache, ScriptedDrafter drafter, int left, SpeculationMode mode)
    {
        int length = context.Length;
        bool auto = mode == SpeculationMode.Auto;
        long start = _clock.GetTimestamp();
        var limits = new GrowthLimits(Ngram: true, Draft: mode != SpeculationMode.Ngram, auto, 0, 0, Math.Min(Depth, left - 1), left);
        GrowthReport growth = grower.Grow(_tree, context, cache, limits);
        int nodes = _ledger.Choose(_tree, length, auto ? 0 : 1, TreeVerifier.MaxNodes);
        double target = Observed(_machine.TargetSeconds(1 + nodes));
        _clock.Pass(target);

        Span<int> accepted = stackalloc int[Depth];
        int count = Walk(length, nodes, accepted);
        for (int i = 0, node = 0; i <= count; i++)
        {
            grower.Learn(_tree, context, node, GuessedText.Token(length + i));
            node = i < count ? accepted[i] : node;
        }

        double gain = _ledger.Gain(_tree, nodes, length);
        Commit(context, cache, drafter, accepted[..count]);
        double step = _clock.GetElapsedTime(start).TotalSeconds;
        bool drafted = growth.DraftPasses > 0 && !growth.CaughtUp;
        _ledger.Book(new StepEntry(length, nodes, gain, count + 1, target, growth.DraftSeconds, step, drafted)
        {
            Auto = auto,
        });
    }

    /// <summary>The verified nodes that are the text.</summary>
    private int Walk(int length, int nodes, Span<int> accepted)
    {
        int count = 0;
        for (int node = 0; (node = _tree.FindChild(node, GuessedText.Token(length + count))) >= 0 && IsVerified(node, nodes);)
        {
            accepted[count++] = node;
        }

        return count;
    }

    private bool IsVerified(int node, int nodes)
    {
        for (int place = 0; place < nodes; place++)
        {
            if (_tree.Ordered(place) == node)
            {
                return true;
            }
        }

        return false;
    }

    private void Commit(TokenContext context, DraftCache cache, ScriptedDrafter drafter, ReadOnlySpan<int> accepted)
    {
        if (cache.Committed == context.Length)
        {
            int seen = 0;
            while (seen < accepted.Length && _tree.DraftSlot(accepted[seen]) >= 0)
            {
                seen++;
            }

            drafter.Accept(cache, new int[seen]);
        }

        for (int i = 0; i <= accepted.Length; i++)
        {
            context.Append(GuessedText.Token(context.Length));
        }
    }

    /// <summary>Counts seconds, and gives those that a clock would show.</summary>
    private double Observed(double seconds)
    {
        _counted += seconds * _memory;
        double noise = 1 + (Noise * ((2 * _random.NextDouble()) - 1) * Math.Sqrt(3));
        return seconds * _memory * noise * (_random.Next(StallsEvery) == 0 ? Stall : 1);
    }
}
