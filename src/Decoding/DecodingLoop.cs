using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;

namespace Understory.Decoding;

/// <summary>
/// Decodes one sequence at a time. A step: grow a tree until the ledger says stop, choose how much of it to verify, verify it in one target
/// forward, learn from what was decided, commit the accepted path. Used from one thread.
/// </summary>
public sealed class DecodingLoop : IDisposable
{
    private const int TreeCapacity = 384;

    /// <summary>Chosen: a few answers' worth, in which every width that matters came up.</summary>
    private const int PassesWorthKeeping = 500;

    private readonly Transformer _target;
    private readonly Tokenizer _tokenizer;
    private readonly TokenTree _tree = new(TreeCapacity);
    private readonly Ledger _ledger;
    private readonly TreeGrower _grower;
    private readonly TreeVerifier _verifier;
    private readonly LookaheadWindow _window;
    private readonly int? _lookaheadRows;
    private readonly Prefill _prefill;
    private readonly PrefixCache _prefixes;
    private readonly IDraftModel? _draft;
    private readonly StateFeed? _feed;
    private readonly MatcherCache _matchers;

    /// <param name="draft">Null: the target's head drafts, where it has one.</param>
    /// <param name="ngram">Null: no trigram; matches in the text itself are still proposed.</param>
    /// <exception cref="ModelLoadException">The draft's vocabulary shares too little with the target's, or the n-gram's is another.
    /// </exception>
    public DecodingLoop(LanguageModel target, LanguageModel? draft, NgramModel? ngram, DecodingOptions options)
        : this(
            target.Transformer,
            target.Tokenizer,
            Vocabularies.Drafter(target, draft, options),
            Vocabularies.Shared(target, ngram),
            options)
    {
    }

    /// <summary>For drafters other than a loaded model.</summary>
    public DecodingLoop(Transformer target, Tokenizer tokenizer, IDraftModel? drafter, NgramModel? ngram, DecodingOptions options)
    {
        _target = target;
        _tokenizer = tokenizer;
        _draft = drafter;
        ContextLength = target.Config.ContextLength;
        var cost = new CostModel(read: rows => target.ExpectedBytes(rows) / target.ExpectedBytes(1));
        _ledger = new Ledger(cost, drafter is null ? null : new CostModel(1e-4) { MostContext = MostRead(options) }, new AcceptanceModel());
        // Who proposes, first come first kept.
        var pool = new LookaheadPool();
        IProposalSource[] sources = [new ForcedText(), new PredictedText(), new NgramDrafter(ngram, ContextLength + 1), pool];
        _window = new LookaheadWindow(pool);
        _lookaheadRows = options.LookaheadRows;
        _grower = new TreeGrower(_ledger, sources, drafter, options.MaxDepth, TreeVerifier.MaxNodes, TimeProvider.System);
        _verifier = new TreeVerifier(target, TreeCapacity, options.MaxDepth, GenerationRequest.MaxAlternatives);
        _feed = drafter is { WantsStates: true } ? new StateFeed(target, drafter) : null;
        _prefill = new Prefill(target, _feed, reused: options.PrefixCacheBytes > 0);
        _matchers = new MatcherCache(target.Config.VocabularySize);
        var entries = new EntryFactory(target, drafter, ContextLength, TreeVerifier.MaxNodes + 1);
        _prefixes = new PrefixCache(entries.Create, options.PrefixCacheBytes, entries.Bytes());
        new Calibration(_ledger, target, drafter?.Model).Run(options.Calibration, options.KnownCosts);
    }

    /// <summary>Most tokens of a sequence, prompt and output.</summary>
    public int ContextLength { get; }

    public StepReport LastStep { get; private set; }

    /// <summary>
    /// The tree of the last step, where its request asks for it (<see cref="GenerationRequest.ReportTree"/>); null after a prefill chunk.
    /// </summary>
    public StepTree? LastTree { get; private set; }

    /// <summary>How a draft with a vocabulary of its own is understood; null: it has the target's, or there is none.</summary>
    public string? DraftVocabulary => (_draft as TranslatedDrafter)?.Vocabulary;

    /// <summary>Tokens whose keys and values are held for later prompts.</summary>
    public int CachedTokens => _prefixes.HeldTokens;

    /// <summary>What passes cost by all that was measured so far, for <see cref="DecodingOptions.KnownCosts"/> of the next run.</summary>
    /// <remarks>Null until enough passes were seen for it to be worth more than another measurement at start.</remarks>
    public CostCurves? Costs => _ledger.Target.Passes < PassesWorthKeeping ? null : new(_ledger.Target.Curve(), _ledger.Draft?.Curve());

    /// <summary>Expected seconds of a target pass of so many rows at so many positions.</summary>
    public double TargetSeconds(int rows, int context) => _ledger.Target.Seconds(rows, context);

    /// <summary>Can this mode be asked for? A forced mode needs its drafter; matches in the text itself are always at hand.</summary>
    public bool Supports(SpeculationMode mode) => mode switch
    {
        SpeculationMode.Draft or SpeculationMode.Staged => _draft is not null,
        _ => true,
    };

    /// <summary>Takes up a sequence; <see cref="End"/> must follow.</summary>
    /// <exception cref="InvalidRequestException">The prompt is empty or too long, or a parameter is out of range.</exception>
    public Sequence Begin(GenerationRequest request)
    {
        int prompt = request.Prompt.Length;
        int vocabulary = _target.Config.VocabularySize;
        request.Validate(_tokenizer, vocabulary, ContextLength);
        if (!Supports(request.Speculation))
        {
            throw new InvalidRequestException(
                "speculation",
                $"speculation '{request.Speculation.ToString().ToLowerInvariant()}' needs a draft model, and none is loaded; use auto, "
                    + "off or ngram.");
        }

        ITextEnd end = request.NewTextEnd();

        // Nothing refuses the request from here on: what is taken out of the prefix cache comes back by End.
        int limit = request.Embed ? 0 : Math.Min(request.MaxTokens, ContextLength - prompt);
        ConstraintMatcher? matcher = request.Constraint is null
            ? null
            : _matchers.Take(request.Constraint, request.IgnoreEos ? [] : [.. _target.Config.EosTokenIds, .. request.EndTokens]);
        CacheEntry entry = _prefixes.Take(request.Prompt, prompt + limit, out int cached, reuse: !request.ReadsPrompt);
        var context = new TokenContext(request.Prompt, request.Sampling, vocabulary, prompt + limit + _grower.MaxDepth + 1, matcher,
            _target.Config.SuppressedTokens, _target.Config.SuppressedAtBegin)
        {
            Prediction = request.Prediction ?? [],
        };
        _ledger.BeginSequence();
        return new Sequence(request, context, entry, cached, limit, end, _tokenizer, _target.Config.EosTokenIds)
        {
            Hidden = request.Embed ? new HiddenMean(_target.Config.HiddenSize) : null,
        };
    }

    /// <summary>One prefill chunk while the prompt is not in the cache, afterwards one decoding step.</summary>
    public void Step(Sequence sequence)
    {
        if (sequence.Finished)
        {
            return;
        }

        if (sequence.Prefilling)
        {
            LastStep = _prefill.Run(sequence);
            LastTree = null;
            return;
        }

        var watch = new StepWatch(sequence.Context);
        GrowthLimits limits = Limits(sequence);

        GrowthReport growth = _grower.Grow(_tree, sequence.Context, sequence.Entry.Draft, limits);
        int nodes = Choose(sequence, limits);
        LookAhead(sequence, nodes, limits);
        watch.Verifying();
        Verify(sequence, nodes);
        watch.Verified();
        StepEntry entry = Learn(sequence, nodes, growth, watch);
        Commit(sequence, entry.Context);

        entry = entry with { Seconds = watch.Seconds, Auto = limits.Auto };
        _ledger.Book(entry);
        LastStep = new StepReport(entry.Committed, nodes, 0, entry.TargetSeconds, growth.DraftPasses, growth.DraftSeconds, entry.Seconds);
        sequence.Statistics.Count(LastStep.Committed, entry.TargetSeconds, entry.Seconds, watch.MaskSeconds);
        CountStages(sequence.Statistics, nodes, growth);
        // The tree is as it was verified until the next one grows.
        LastTree = sequence.Trace is null ? null : _verifier.Describe(_tree, nodes);
    }

    /// <summary>
    /// Decodes a few tokens in every mode, so that the first request does not wait for code to be compiled, and forgets them.
    /// </summary>
    public void WarmUp(TimeSpan allowed)
    {
        // Times that compiling went into would make the ledger shy for thousands of tokens.
        _ledger.Freeze(true);
        Decoding.WarmUp.Run(this, allowed);
        _ledger.Freeze(false);
        _ledger.Forget();
        _prefixes.Clear();
    }

    /// <summary>Gives the sequence's keys and values to the prefix cache, finished or not.</summary>
    public void End(Sequence sequence)
    {
        // The last committed token has not been through the target yet.
        int held = sequence.GeneratedTokens > 0 ? sequence.Context.Length - 1 : sequence.PrefilledTokens;
        _prefixes.Return(sequence.Entry, sequence.Context.Tokens[..held]);
    }

    public void Dispose()
    {
        _prefixes.Dispose();
        (_draft as IDisposable)?.Dispose();
    }

    private GrowthLimits Limits(Sequence sequence)
    {
        GenerationRequest request = sequence.Request;
        SpeculationMode mode = request.Speculation;
        // The pass itself commits one token beyond the tree: deeper nodes than this could never be kept.
        int depth = Math.Min(_grower.MaxDepth, sequence.TokensLeft - 1);
        return new GrowthLimits(
            Ngram: mode is SpeculationMode.Auto or SpeculationMode.Ngram or SpeculationMode.Staged,
            Draft: mode is SpeculationMode.Auto or SpeculationMode.Draft or SpeculationMode.Staged && DraftReaches(sequence, depth),
            Auto: mode == SpeculationMode.Auto,
            FixedNodes: request.SpeculationNodes ?? 0,
            FixedRounds: request.DraftPasses ?? 0,
            MaxDepth: mode == SpeculationMode.Off || sequence.Context.IsDecidedAlone ? 0 : depth,
            TokensLeft: sequence.TokensLeft,
            Forced: mode != SpeculationMode.Off,
            Branch: request.Branch ?? 0);
    }

    private bool DraftReaches(Sequence sequence, int depth) =>
        _draft is not null && sequence.Context.Length + depth <= _draft.ContextLength
        && _draft.Reaches(sequence.Entry.Draft!, sequence.Context, depth);

    /// <summary>Positions that a row of the draft model reads at most.</summary>
    private static int MostRead(DecodingOptions options) => new DraftWindow(options.DraftWindow).Most(int.MaxValue);

    private int Choose(Sequence sequence, in GrowthLimits limits) => limits.FixedNodes > 0
        ? Math.Min(Math.Min(limits.FixedNodes, TreeVerifier.MaxNodes), _tree.OrderedCount)
        : _ledger.Choose(_tree, sequence.Context.Length, limits.Auto ? 0 : 1, TreeVerifier.MaxNodes);

    /// <summary>Rows beside the tree that look ahead, where they are worth it; none under a constraint: they do not know it.</summary>
    private void LookAhead(Sequence sequence, int nodes, in GrowthLimits limits)
    {
        TokenContext context = sequence.Context;
        bool may = (limits.Auto || _lookaheadRows is not null) && limits.MaxDepth > 0 && context.Matcher is null;
        int room = TreeVerifier.MaxNodes - nodes;
        int rows = !may ? 0
            : _lookaheadRows is { } forced ? Math.Min(forced, room)
            : _ledger.Riders(context.Greedy, nodes, context.Length, room);
        _window.Ride(_tree, context, rows, Math.Min(_grower.MaxDepth, ContextLength - context.Length));
    }

    private void Verify(Sequence sequence, int nodes)
    {
        _verifier.KeepsStates = _feed is not null && StateFeed.Reads(sequence);
        int alternatives = sequence.Request.TopLogProbs > 0 ? GenerationRequest.MaxAlternatives : 0;
        _verifier.Verify(_tree, nodes, sequence.Context, sequence.Entry.Target, alternatives, _window.Riders);
    }

    /// <summary>The target's decisions along its own path, against every candidate that was drafted under it.</summary>
    private StepEntry Learn(Sequence sequence, int nodes, in GrowthReport growth, in StepWatch watch)
    {
        int node = 0;
        int found = 0;
        for (int i = 0; i < _verifier.Decided.Length; i++)
        {
            _grower.Learn(_tree, sequence.Context, node, _verifier.Decided[i]);
            if (i < _verifier.Accepted.Length)
            {
                node = _verifier.Accepted[i];
                found += _tree.Stage(node) == Stage.Lookahead ? 1 : 0;
            }
        }

        _window.Learn(_verifier.Answers, _verifier.Decided.Length);
        int length = sequence.Context.Length;
        return new StepEntry(
            length, nodes, _ledger.Gain(_tree, nodes, length), _verifier.Decided.Length, watch.TargetSeconds, growth.DraftSeconds, 0,
            Drafted: growth.DraftPasses > 0 && !growth.CaughtUp)
        {
            Greedy = sequence.Context.Greedy,
            Riders = _window.Riders.Count,
            Found = found,
        };
    }

    private void Commit(Sequence sequence, int length)
    {
        for (int i = 0; i < _verifier.Decided.Length && !sequence.Finished; i++)
        {
            Stage stage = i < _verifier.Accepted.Length ? _tree.Stage(_verifier.Accepted[i]) : Stage.Target;
            sequence.Trace?.Add(_verifier.Decided[i], stage, _verifier.LogProb(i));
            sequence.Commit(_verifier.Decided[i], LogProbOf(sequence.Request, i));
        }

        DraftCache? draft = sequence.Entry.Draft;
        for (int i = 0; _verifier.KeepsStates && length + i < sequence.Context.Length; i++)
        {
            // The i-th decision was made from the state of the token before it.
            _feed!.Row(sequence, _verifier.DecidedRow(i), length - 1 + i);
        }

        if (draft is not null && draft.Committed == length)
        {
            KeepDrafted(draft);
        }
    }

    /// <summary>The accepted nodes that the draft has seen need not be computed again.</summary>
    private void KeepDrafted(DraftCache draft)
    {
        Span<int> slots = stackalloc int[_verifier.Accepted.Length];
        int count = 0;
        foreach (int node in _verifier.Accepted)
        {
            if (_tree.DraftSlot(node) < 0)
            {
                break;
            }

            slots[count++] = _tree.DraftSlot(node);
        }

        _draft!.Accept(draft, slots[..count]);
    }

    private TokenLogProb? LogProbOf(GenerationRequest request, int i)
    {
        if (request.TopLogProbs < 0)
        {
            return null;
        }

        var top = new (int, float)[request.TopLogProbs];
        for (int rank = 0; rank < top.Length; rank++)
        {
            top[rank] = _verifier.Alternative(i, rank);
        }

        return new TokenLogProb(_verifier.Decided[i], _verifier.LogProb(i), top, 0);
    }

    private void CountStages(SequenceStatistics statistics, int nodes, in GrowthReport growth)
    {
        if (growth.DraftPasses > 0)
        {
            statistics.Of(_draft!.Stage).Passes += growth.DraftPasses;
            statistics.Of(_draft.Stage).Milliseconds += growth.DraftSeconds * 1000;
        }

        for (int place = 0; place < nodes; place++)
        {
            statistics.Of(_tree.Stage(_tree.Ordered(place))).Proposed++;
        }

        foreach (int node in _verifier.Accepted)
        {
            statistics.Of(_tree.Stage(node)).Accepted++;
        }
    }
}
