using Understory.Decoding.Drafters;
using Understory.Decoding.Planning;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;
using Understory.Models.Architecture;
using Understory.Models.Kernels;
using static Understory.Decoding.Tests.LoopRuns;

namespace Understory.Decoding.Tests.Verification;

/// <summary>Guessed texts that ride along in the target's passes, and what is made of the answers.</summary>
[Collection(DemoGroup.Name)]
public class LookaheadTests(DemoBundle demo)
{
    [Theory]
    [InlineData(1, 1, 2)]
    [InlineData(2, 1, 2)]
    [InlineData(3, 2, 2)]
    [InlineData(8, 3, 3)]
    [InlineData(15, 4, 4)]
    [InlineData(59, 15, 4)]
    [InlineData(63, 16, 4)]
    public void The_window_is_as_wide_and_its_n_grams_as_long_as_the_rows_allow(int rows, int columns, int levels)
    {
        Assert.Equal((columns, levels), LookaheadWindow.Shape(rows));
        var window = new LookaheadWindow(new LookaheadPool());
        TokenContext context = Context([1, 2, 3]);
        window.Ride(Tree(context), context, rows, deepest: 20);
        Assert.Equal((columns * levels) - 1, window.Riders.Count);
        window.Ride(Tree(context), context, 0, deepest: 20);
        Assert.Equal(0, window.Riders.Count);
        window.Ride(Tree(context), context, rows, deepest: 0);
        Assert.Equal(0, window.Riders.Count);
    }

    [Fact]
    public void The_window_comes_to_hold_the_text_to_come_and_its_n_grams_are_proposed()
    {
        // The target says 51, 52, ... behind the prompt, whatever was guessed.
        var pool = new LookaheadPool();
        var window = new LookaheadWindow(pool);
        TokenContext context = Context([7, 3, 50]);
        for (int step = 0; step < 6; step++)
        {
            window.Ride(Tree(context), context, 8, deepest: 20);
            window.Learn(Answers(window, context), committed: 1);
            context.Append(context.Last + 1);
        }

        // Tokens that were the root once.
        context.Append(54);
        Assert.Equal(55, Proposed(pool, context, [])[0].Token);
        Assert.Equal(56, Proposed(pool, context, [55])[0].Token);
        Assert.Equal(57, Proposed(pool, context, [55, 56])[0].Token);
        Assert.Empty(Proposed(pool, context, [900]));

        // Tokens that nobody has said yet.
        context.Append(57);
        Assert.Equal(58, Proposed(pool, context, [])[0].Token);
        Assert.All(Proposed(pool, context, []), proposal => Assert.Same(Stage.Lookahead, proposal.Stage));
    }

    [Fact]
    public void The_window_moves_on_by_as_many_tokens_as_are_committed()
    {
        var window = new LookaheadWindow(new LookaheadPool());
        TokenContext context = Context([7, 3, 50]);
        for (int step = 0; step < 5; step++)
        {
            window.Ride(Tree(context), context, 15, deepest: 20);
            window.Learn(Answers(window, context), committed: 1);
            context.Append(context.Last + 1);
        }

        // By now every rider is the token of its depth.
        window.Ride(Tree(context), context, 15, deepest: 20);
        Assert.All(Enumerable.Range(0, 15), rider => Assert.Equal(context.Last + window.Riders.Depth(rider), window.Riders.Token(rider)));
        window.Learn(Answers(window, context), committed: 3);
        for (int i = 0; i < 3; i++)
        {
            context.Append(context.Last + 1);
        }

        window.Ride(Tree(context), context, 15, deepest: 20);
        int right = Enumerable.Range(0, 15).Count(rider => window.Riders.Token(rider) == context.Last + window.Riders.Depth(rider));
        // Two of four columns had stood far enough.
        Assert.Equal(7, right);
    }

    [Fact]
    public void The_pool_keeps_a_few_n_grams_of_a_token_the_newest_first_and_replaces_what_only_ends_otherwise()
    {
        var pool = new LookaheadPool();
        TokenContext context = Context([5]);
        pool.Follow(context);
        Assert.Empty(Proposed(pool, context, []));
        foreach (int next in (int[])[10, 11, 12, 13])
        {
            pool.Add([5, next, next + 100], alike: 3);
        }

        Assert.Equal([13, 12, 11], Proposed(pool, context, []).Select(proposal => proposal.Token));
        Assert.Empty(Proposed(pool, context, [10]));
        pool.Add([5, 12, 77], alike: 3);
        Assert.Equal([77], Proposed(pool, context, [12]).Select(proposal => proposal.Token));

        // The longest agreement comes first.
        pool.Add([12, 400, 401], alike: 3);
        Assert.Equal([77, 400], Proposed(pool, context, [12]).Select(proposal => proposal.Token));

        // Another answer begins with an empty pool.
        Assert.Empty(Proposed(pool, Context([5]), []));
    }

    [Theory]
    [InlineData("greedy")]
    [InlineData("T = 1")]
    public void However_many_rows_look_ahead_the_tokens_are_the_plain_ones(string sampling)
    {
        SamplingParams parameters = sampling == "greedy" ? SamplingParams.Greedy : new SamplingParams { Seed = 3 };
        foreach (int rows in (int[])[1, 3, 8, 40, 63])
        {
            using DecodingLoop loop = demo.CreateLoop(Looking(rows));
            foreach (int[] prompt in demo.Prompts().Take(4))
            {
                GenerationRequest request = Request(prompt, parameters, 48);
                int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
                Assert.Equal(plain, loop.Decode(request));

                // What was generated is a cached prefix now.
                GenerationRequest longer = Request([.. prompt, .. plain.Take(20), 9], parameters);
                int[] expected = loop.Decode(longer with { Speculation = SpeculationMode.Off });
                Assert.Equal(expected, loop.Decode(longer));
            }
        }
    }

    [Fact]
    public void Recurrent_layers_and_the_end_of_the_context_take_riders_too()
    {
        using IKernels kernels = KernelCatalog.Create(threads: 2);
        using Transformer model = ModelLoader.Random("qwen3_5:256x4:4096:96", kernels, 3);
        using var loop = new DecodingLoop(model, demo.Target.Tokenizer, null, null, Looking(15));
        int[] prompt = [.. Enumerable.Range(0, 40).Select(i => 5 + (i * 37 % 4000))];
        foreach (SamplingParams sampling in (SamplingParams[])[SamplingParams.Greedy, new SamplingParams { Seed = 3 }])
        {
            GenerationRequest request = Request(prompt, sampling, 1000);
            int[] plain = loop.Decode(request with { Speculation = SpeculationMode.Off });
            Assert.Equal(56, plain.Length);
            Assert.Equal(plain, loop.Decode(request));
        }
    }

    [Fact]
    public void Some_tokens_that_the_text_itself_does_not_suggest_are_found_by_looking_ahead()
    {
        using var loop = new DecodingLoop(demo.Target, null, null, Looking(24));
        int accepted = 0;
        foreach (int[] prompt in demo.Prompts())
        {
            GenerationRequest request = Request(prompt, SamplingParams.Greedy, 200) with { Speculation = SpeculationMode.Ngram };
            Sequence sequence = loop.Run(request with { SpeculationNodes = 8 });
            accepted += sequence.Statistics.Of(Stage.Lookahead).Accepted;
        }

        // Of 1,600 tokens.
        Assert.InRange(accepted, 20, 1600);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_step_with_riders_allocates_nothing(bool greedy)
    {
        using var loop = new DecodingLoop(demo.Target, null, demo.Ngram, Looking(12));
        SamplingParams sampling = greedy ? SamplingParams.Greedy : new SamplingParams { TopK = 50, Seed = 4 };
        GenerationRequest request = Request(demo.Prompts().First(), sampling, 600);
        Assert.Equal(0, loop.Allocated(request));
    }

    private static DecodingOptions Looking(int rows) => new() { LookaheadRows = rows, Calibration = TimeSpan.FromMilliseconds(30) };

    private static TokenContext Context(int[] tokens) => new(tokens, SamplingParams.Greedy, 4096, 200);

    private static TokenTree Tree(TokenContext context)
    {
        var tree = new TokenTree(8);
        tree.Reset(context.Last);
        return tree;
    }

    private static int[] Answers(LookaheadWindow window, TokenContext context) =>
        [.. Enumerable.Range(0, window.Riders.Count).Select(rider => context.Last + window.Riders.Depth(rider) + 1)];

    private static Proposal[] Proposed(LookaheadPool pool, TokenContext context, int[] path) =>
        new Proposals(new AcceptanceModel(), [pool]).Best(new Place(context, path, 0), Reach.LookedUp).ToArray();
}
