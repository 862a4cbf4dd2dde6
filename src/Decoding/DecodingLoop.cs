using System.Diagnostics;
using Understory.Decoding.Constraints.Matching;
using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using Understory.Models.Tensors;
using Understory.Models.Tokenizers;

namespace Understory.Decoding;

/// <summary>
/// Decodes one sequence at a time. A step: grow a tree until the planner says stop, one target forward over it, walk
/// it by the decision rule, commit the accepted path. Used from one thread.
/// </summary>
public sealed class DecodingLoop : IDisposable
{
    private const int TreeCapacity = 384;

    private readonly Transformer _target;
    private readonly Tokenizer _tokenizer;
    private readonly TokenTree _tree = new(TreeCapacity);
    private readonly TreePlanner _planner;
    private readonly SpeculationGovernor _draftGovernor = new();
    private readonly SpeculationGovernor _ngramGovernor = new();
    private readonly DraftStages _stages;
    private readonly TreeVerifier _verifier;
    private readonly ForwardBatch _prefill;
    private readonly PromptScorer _scorer;
    private readonly PrefixCache _prefixes;
    private readonly ModelDrafter? _drafter;
    private readonly MatcherCache _matchers;

    /// <param name="draft">Null: no draft model.</param>
    /// <param name="ngram">Null: no trigram; matches in the text itself are still proposed.</param>
    /// <exception cref="ModelLoadException">The draft or the n-gram has another vocabulary than the target.</exception>
    public DecodingLoop(LanguageModel target, LanguageModel? draft, NgramModel? ngram, DecodingOptions options)
        : this(
            target.Transformer,
            target.Tokenizer,
            draft is null ? null : new ModelDrafter(Compatible(target, draft).Transformer, options.Branch, options.MaxDepth),
            Compatible(target, ngram),
            options)
    {
    }

    /// <summary>For drafters other than a loaded model.</summary>
    public DecodingLoop(Transformer target, Tokenizer tokenizer, ModelDrafter? drafter, NgramModel? ngram, DecodingOptions options)
    {
        _target = target;
        _tokenizer = tokenizer;
        _drafter = drafter;
        ContextLength = target.Config.ContextLength;
        _planner = new TreePlanner(new CostModel(), drafter is null ? null : new CostModel(1e-4), new AcceptanceModel());
        _stages = new DraftStages(_planner, _draftGovernor, _ngramGovernor, new NgramDrafter(ngram, ContextLength + 1), drafter, options.MaxDepth);
        _verifier = new TreeVerifier(target, TreeCapacity, options.MaxDepth, GenerationRequest.MaxAlternatives);
        _prefill = new ForwardBatch(target.MaxRows, 1);
        _matchers = new MatcherCache(target.Config.VocabularySize);
        _scorer = new PromptScorer(target.Kernels, target.MaxRows, GenerationRequest.MaxAlternatives);
        _prefixes = new PrefixCache(CreateEntry, options.PrefixCacheBytes, BytesFor());
        new Calibration(_planner, target, drafter).Run(options.Calibration);
    }

    /// <summary>Most tokens of a sequence, prompt and output.</summary>
    public int ContextLength { get; }

    public StepReport LastStep { get; private set; }

    /// <summary>The tree of the last step, where its request asks for it (<see cref="GenerationRequest.ReportTree"/>); null after a prefill chunk.</summary>
    public StepTree? LastTree { get; private set; }

    /// <summary>Tokens whose keys and values are held for later prompts.</summary>
    public int CachedTokens => _prefixes.HeldTokens;

    /// <summary>Expected seconds of a target pass of so many rows at so many positions.</summary>
    public double TargetSeconds(int rows, int context) => _planner.Target.Seconds(rows, context);

    /// <summary>Can this mode be asked for? A forced mode needs its drafter; matches in the text itself are always at hand.</summary>
    public bool Supports(SpeculationMode mode) => mode switch
    {
        SpeculationMode.Draft or SpeculationMode.Staged => _drafter is not null,
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
            throw new InvalidRequestException("speculation", $"speculation '{request.Speculation.ToString().ToLowerInvariant()}' needs a draft model, and none is loaded; use auto, off or ngram.");
        }

        var stops = new StopStrings(request.Stop);

        // Nothing refuses the request from here on: what is taken out of the prefix cache comes back by End.
        int limit = request.Embed ? 0 : Math.Min(request.MaxTokens, ContextLength - prompt);
        ConstraintMatcher? matcher = request.Constraint is null ? null : _matchers.Take(request.Constraint, request.IgnoreEos ? [] : _target.Config.EosTokenIds);
        CacheEntry entry = _prefixes.Take(request.Prompt, prompt + limit, out int cached, reuse: !request.ReadsPrompt);
        var context = new TokenContext(request.Prompt, request.Sampling, vocabulary, prompt + limit + _stages.MaxDepth + 1, matcher)
        {
            Prediction = request.Prediction ?? [],
        };
        _planner.BeginSequence();
        _draftGovernor.BeginSequence();
        _ngramGovernor.BeginSequence();
        _stages.BeginSequence();
        return new Sequence(request, context, entry, cached, limit, stops, _tokenizer, _target.Config.EosTokenIds)
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
            Prefill(sequence);
            return;
        }

        long start = Stopwatch.GetTimestamp();
        GrowthLimits limits = Limits(sequence);
        TokenContext context = sequence.Context;
        CacheEntry entry = sequence.Entry;
        int length = context.Length;
        double masked = context.Matcher?.Seconds ?? 0;

        _stages.Grow(_tree, context, entry.Draft, limits);
        int nodes = ChooseNodes(limits, length);
        _stages.Book(context, _planner.Gain);
        long verify = Stopwatch.GetTimestamp();
        double maskedBefore = context.Matcher?.Seconds ?? 0;
        _verifier.Verify(_tree, nodes, context, entry.Target, sequence.Request.TopLogProbs > 0 ? GenerationRequest.MaxAlternatives : 0);
        // Finding masks is no part of what a pass costs: the next one under the same states will not pay for it.
        double targetSeconds = Stopwatch.GetElapsedTime(verify).TotalSeconds - ((context.Matcher?.Seconds ?? 0) - maskedBefore);
        Learn(context);
        Commit(sequence, length);

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        int committed = _verifier.Decided.Length;
        bool drafted = _stages.DraftPasses > 0 && !_stages.CaughtUp;
        // A stall of the machine would have hit plain decoding as well: it is nobody's debt.
        double booked = Math.Min(seconds, (2 * _planner.Target.Seconds(1 + nodes, length)) + _stages.DraftSeconds);
        _planner.Target.Observe(1 + nodes, length, targetSeconds);
        _planner.Committed(committed, booked);
        double plain = booked / _planner.Target.Seconds(1, length);
        _draftGovernor.Book(drafted, committed, plain);
        _ngramGovernor.Book(!drafted && nodes > 0, committed, plain);
        LastStep = new StepReport(committed, nodes, 0, targetSeconds, _stages.DraftPasses, _stages.DraftSeconds, seconds);
        sequence.Statistics.MaskMilliseconds += ((context.Matcher?.Seconds ?? 0) - masked) * 1000;
        Count(sequence.Statistics, nodes);
        // The tree is as it was verified until the next one grows.
        LastTree = sequence.Trace is null ? null : _verifier.Describe(_tree, nodes);
    }

    /// <summary>
    /// Decodes a few tokens in every mode, so that the first request does not wait for code to be compiled, and forgets them.
    /// </summary>
    public void WarmUp(TimeSpan allowed)
    {
        long start = Stopwatch.GetTimestamp();
        Freeze(true);
        int[] prompt = [.. Enumerable.Range(0, Math.Min(4, ContextLength))];
        foreach (SpeculationMode mode in new[] { SpeculationMode.Staged, SpeculationMode.Ngram, SpeculationMode.Auto, SpeculationMode.Off }.Where(Supports))
        {
            foreach (float temperature in new[] { 0f, 1f })
            {
                Sequence sequence = Begin(new GenerationRequest
                {
                    Prompt = prompt,
                    Sampling = new SamplingParams { Temperature = temperature },
                    MaxTokens = 6,
                    IgnoreEos = true,
                    Speculation = mode,
                });
                while (!sequence.Finished && Stopwatch.GetElapsedTime(start) < allowed)
                {
                    Step(sequence);
                }

                _ = sequence.TakeText();
                End(sequence);
            }
        }

        // Times that compiling went into would make the planner shy for thousands of tokens.
        Freeze(false);
        _stages.ForgetTimes();
        _prefixes.Clear();
        _planner.Acceptance.Clear();
    }

    /// <summary>Gives the sequence's keys and values to the prefix cache, finished or not.</summary>
    public void End(Sequence sequence)
    {
        // The last committed token has not been through the target yet.
        int held = sequence.GeneratedTokens > 0 ? sequence.Context.Length - 1 : sequence.PrefilledTokens;
        _prefixes.Return(sequence.Entry, sequence.Context.Tokens[..held]);
    }

    public void Dispose() => _prefixes.Dispose();

    private void Freeze(bool frozen)
    {
        _planner.Target.Frozen = frozen;
        if (_planner.Draft is { } draft)
        {
            draft.Frozen = frozen;
        }
    }

    private void Prefill(Sequence sequence)
    {
        long start = Stopwatch.GetTimestamp();
        _prefill.Clear();
        int from = sequence.PrefilledTokens;
        int to = Math.Min(from + _prefill.MaxRows, sequence.PrefillEnd);
        for (int position = from; position < to; position++)
        {
            _prefill.Add(sequence.Context.Tokens[position], position);
        }

        _prefill.FirstLogitsRow = sequence.Request.ReadsPrompt ? 0 : _prefill.Count;
        Tensor logits = _target.Forward(_prefill, sequence.Entry.Target);
        if (sequence.Request.PromptLogProbs)
        {
            _scorer.Score(logits, sequence, from);
        }

        sequence.Hidden?.Add(_target, logits.Rows);
        _target.Kernels.Finish();
        sequence.Prefilled(to);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        sequence.Statistics.PromptMilliseconds += seconds * 1000;
        LastStep = new StepReport(0, 0, to - from, seconds, 0, 0, seconds);
        LastTree = null;
    }

    private GrowthLimits Limits(Sequence sequence)
    {
        GenerationRequest request = sequence.Request;
        SpeculationMode mode = request.Speculation;
        // The pass itself commits one token beyond the tree: deeper nodes than this could never be kept.
        int depth = Math.Min(_stages.MaxDepth, sequence.TokensLeft - 1);
        return new GrowthLimits(
            Ngram: mode is SpeculationMode.Auto or SpeculationMode.Ngram or SpeculationMode.Staged,
            Draft: mode is SpeculationMode.Auto or SpeculationMode.Draft or SpeculationMode.Staged && DraftReaches(sequence.Context, depth),
            Auto: mode == SpeculationMode.Auto,
            FixedNodes: request.SpeculationNodes ?? 0,
            FixedRounds: request.DraftPasses ?? 0,
            MaxDepth: mode == SpeculationMode.Off ? 0 : depth,
            TokensLeft: sequence.TokensLeft,
            Forced: mode != SpeculationMode.Off);
    }

    private bool DraftReaches(TokenContext context, int depth) =>
        _drafter is not null && context.Length + depth <= _drafter.ContextLength;

    private int ChooseNodes(in GrowthLimits limits, int length)
    {
        if (limits.FixedNodes > 0)
        {
            return Math.Min(Math.Min(limits.FixedNodes, TreeVerifier.MaxNodes), _tree.OrderedCount);
        }

        return _planner.Choose(_tree, length, limits.Auto ? 0 : 1, TreeVerifier.MaxNodes);
    }

    /// <summary>The target's decisions along its own path, against every candidate that was drafted under it.</summary>
    private void Learn(TokenContext context)
    {
        int node = 0;
        for (int i = 0; i < _verifier.Decided.Length; i++)
        {
            _stages.Learn(_tree, context, node, _verifier.Decided[i]);
            if (i < _verifier.Accepted.Length)
            {
                node = _verifier.Accepted[i];
            }
        }
    }

    private void Commit(Sequence sequence, int length)
    {
        for (int i = 0; i < _verifier.Decided.Length && !sequence.Finished; i++)
        {
            sequence.Trace?.Add(_verifier.Decided[i], i < _verifier.Accepted.Length ? _tree.Stage(_verifier.Accepted[i]) : Stage.Target, _verifier.LogProb(i));
            sequence.Commit(_verifier.Decided[i], LogProbOf(sequence.Request, i));
        }

        DraftCache? draft = sequence.Entry.Draft;
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

        ModelDrafter.Accept(draft, slots[..count]);
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

    private void Count(SequenceStatistics statistics, int nodes)
    {
        statistics.TargetPasses++;
        statistics.CommittedTokens += LastStep.Committed;
        statistics.PredictedMilliseconds += LastStep.StepSeconds * 1000;
        statistics.TargetMilliseconds += LastStep.TargetSeconds * 1000;
        statistics.Draft.Passes += LastStep.DraftPasses;
        statistics.Draft.Milliseconds += LastStep.DraftSeconds * 1000;
        for (int place = 0; place < nodes; place++)
        {
            statistics.Of(_tree.Stage(_tree.Ordered(place))).Proposed++;
        }

        foreach (int node in _verifier.Accepted)
        {
            statistics.Of(_tree.Stage(node)).Accepted++;
        }
    }

    private CacheEntry CreateEntry() => new()
    {
        Target = _target.CreateCache(ContextLength, TreeVerifier.MaxNodes + 1),
        Draft = _drafter?.CreateCache(Math.Min(ContextLength, _drafter.ContextLength)),
    };

    /// <summary>Memory of an entry that holds so many tokens, target and draft.</summary>
    private Func<int, long> BytesFor()
    {
        using CacheEntry sample = CreateEntry();
        return tokens => sample.Target.BytesFor(tokens) + (sample.Draft?.Cache.BytesFor(tokens) ?? 0);
    }

    private static LanguageModel Compatible(LanguageModel target, LanguageModel draft)
    {
        if (target.Tokenizer.Fingerprint != draft.Tokenizer.Fingerprint || target.Config.VocabularySize != draft.Config.VocabularySize)
        {
            throw new ModelLoadException(
                $"The draft '{draft.Name}' has another vocabulary ({draft.Config.VocabularySize} tokens) than the target '{target.Name}' "
                + $"({target.Config.VocabularySize}); give a draft that was trained with the target's tokenizer, or --draft none.");
        }

        return draft;
    }

    private static NgramModel? Compatible(LanguageModel target, NgramModel? ngram)
    {
        if (ngram is not null && (ngram.Vocabulary != target.Tokenizer.Fingerprint.ToString() || ngram.VocabularySize != target.Config.VocabularySize))
        {
            throw new ModelLoadException(
                $"The n-gram file has another vocabulary ({ngram.VocabularySize} tokens) than the target '{target.Name}' "
                + $"({target.Config.VocabularySize}); build one with the ngram verb, or give --ngram none.");
        }

        return ngram;
    }
}
