using Understory.Decoding.Sampling;
using Understory.Decoding.Tree;
using Understory.Decoding.Verification;
using Understory.Models.Architecture;
using Understory.Models.Kernels;

namespace Understory.Decoding.Tests.Verification;

[Collection(DemoGroup.Name)]
public class TreeVerifierTests(DemoBundle demo)
{
    private const int MaxDepth = 12;
    private const int Answer = 48;

    public static TheoryData<string> Samplings => [.. Cases.Keys];

    private static Dictionary<string, SamplingParams> Cases { get; } = new()
    {
        ["greedy"] = SamplingParams.Greedy,
        ["T = 1"] = new SamplingParams { Seed = 11 },
        ["T = 0.8, top_k 20, penalties"] =
            new SamplingParams { Temperature = 0.8f, TopK = 20, FrequencyPenalty = 0.6f, RepetitionPenalty = 1.2f, Seed = 12 },
        ["T = 1, a penalty of the last 6 tokens"] = new SamplingParams { RepetitionPenalty = 1.5f, RepetitionWindow = 6, Seed = 13 },
    };

    [Theory]
    [MemberData(nameof(Samplings))]
    public void Random_trees_are_walked_as_plain_decoding_goes(string sampling)
    {
        using var text = new PlainText(demo, Cases[sampling]);
        var tree = new TokenTree(384);
        var random = new Random(5);
        int longest = 0;
        for (int round = 0; round < 6; round++)
        {
            TokenContext context = text.Begin();
            int at = 0;
            while (at < Answer - MaxDepth)
            {
                Grow(tree, context.Last, text.Tokens.AsSpan(at), random);
                int nodes = random.Next(Math.Min(TreeVerifier.MaxNodes, tree.OrderedCount) + 1);
                int expected = RightNodes(tree, nodes, text.Tokens.AsSpan(at));
                text.Verifier.Verify(tree, nodes, context, text.Cache, 0);

                Assert.Equal(expected, text.Verifier.Accepted.Length);
                Assert.Equal(text.Tokens.AsSpan(at, expected + 1).ToArray(), text.Verifier.Decided.ToArray());
                for (int i = 0; i <= expected; i++)
                {
                    Assert.Equal(text.LogProbs[at + i], text.Verifier.LogProb(i));
                    context.Append(text.Verifier.Decided[i]);
                }

                at += expected + 1;
                longest = Math.Max(longest, expected);
            }
        }

        Assert.True(longest >= 3, $"The longest accepted path has {longest} nodes: the trees prove little.");
    }

    [Fact]
    public void A_right_node_that_was_not_chosen_is_not_accepted_although_it_was_in_an_earlier_step()
    {
        using var text = new PlainText(demo, SamplingParams.Greedy);
        TokenContext context = text.Begin();
        var tree = new TokenTree(8);
        tree.Reset(context.Last);
        int right = tree.Add(0, text.Tokens[0], Stage.Draft, 0, 0.5f, 0.3f);
        int wrong = tree.Add(0, text.Tokens[0] + 1, Stage.Draft, 1, 0.5f, 0.6f);
        tree.Sort();

        text.Verifier.Verify(tree, 2, context, text.Cache, 0);
        Assert.Equal([right], text.Verifier.Accepted.ToArray());

        // The best node alone is the wrong one; then none at all.
        Assert.Equal(wrong, tree.Ordered(0));
        foreach (int nodes in new[] { 1, 0 })
        {
            text.Verifier.Verify(tree, nodes, context, text.Cache, 0);
            Assert.Empty(text.Verifier.Accepted.ToArray());
            Assert.Equal([text.Tokens[0]], text.Verifier.Decided.ToArray());
        }
    }

    [Fact]
    public void Alternatives_are_the_most_probable_tokens_in_falling_order()
    {
        using var text = new PlainText(demo, Cases["T = 1"]);
        TokenContext context = text.Begin();
        var tree = new TokenTree(8);
        tree.Reset(context.Last);
        int child = tree.Add(0, text.Tokens[0], Stage.Draft, 0, 1, 1);
        tree.Add(child, text.Tokens[1], Stage.Draft, 0, 1, 1);
        tree.Sort();
        text.Verifier.Verify(tree, 2, context, text.Cache, 5);
        Assert.Equal(text.Tokens.AsSpan(0, 3).ToArray(), text.Verifier.Decided.ToArray());
        for (int i = 0; i < 3; i++)
        {
            (int Token, float LogProb)[] top = [.. Enumerable.Range(0, 5).Select(rank => text.Verifier.Alternative(i, rank))];
            Assert.Equal(top.OrderByDescending(entry => entry.LogProb).ThenBy(entry => entry.Token), top);
            Assert.Equal(5, top.Select(entry => entry.Token).Distinct().Count());
            Assert.All(top, entry => Assert.True(entry.Token != text.Tokens[i] || entry.LogProb == text.Verifier.LogProb(i)));
            Assert.True(top[0].LogProb >= text.Verifier.LogProb(i));
        }
    }

    [Theory]
    [MemberData(nameof(Samplings))]
    public void Riders_are_answered_as_plain_decoding_goes_and_change_nothing_beside_them(string sampling)
    {
        using var text = new PlainText(demo, Cases[sampling]);
        TokenContext context = text.Begin();
        var tree = new TokenTree(8);
        tree.Reset(context.Last);
        int child = tree.Add(0, text.Tokens[0], Stage.Draft, 0, 1, 1);
        tree.Sort();
        var riders = new Riders();
        int first = riders.Add(tree, child, text.Tokens[1]);
        int second = riders.AddBehind(first, text.Tokens[2]);
        int other = riders.Add(tree, 0, text.Tokens[0]);
        text.Verifier.Verify(tree, 1, context, text.Cache, 0, riders);

        // They are no nodes: what follows the only node is a bonus, although a rider stood there.
        Assert.Equal(text.Tokens.AsSpan(0, 2).ToArray(), text.Verifier.Decided.ToArray());
        Assert.Equal([text.LogProbs[0], text.LogProbs[1]], new[] { text.Verifier.LogProb(0), text.Verifier.LogProb(1) });
        Assert.Equal(text.Tokens[2], text.Verifier.Answer(first));
        Assert.Equal(text.Tokens[3], text.Verifier.Answer(second));
        Assert.Equal(text.Tokens[1], text.Verifier.Answer(other));
    }

    /// <summary>A tree whose nodes on the plain path go on along it more often than not.</summary>
    private static void Grow(TokenTree tree, int root, ReadOnlySpan<int> plain, Random random)
    {
        tree.Reset(root);
        var right = new List<bool> { true };
        int count = random.Next(60);
        for (int i = 0; i < count; i++)
        {
            // Late nodes are favoured as parents, for depth.
            int parent = Math.Max(random.Next(tree.Count), random.Next(tree.Count));
            int depth = tree.Depth(parent);
            bool truth = right[parent] && random.NextDouble() < 0.7;
            int token = truth ? plain[depth] : random.Next(4096);
            if (depth < MaxDepth && tree.FindChild(parent, token) < 0)
            {
                tree.Add(parent, token, Stage.Draft, 0, 0.5f, 0.2f + (0.8f * random.NextSingle()));
                right.Add(right[parent] && token == plain[depth]);
            }
        }

        tree.Sort();
    }

    private static int RightNodes(TokenTree tree, int nodes, ReadOnlySpan<int> plain)
    {
        var chosen = Enumerable.Range(0, nodes).Select(tree.Ordered).ToHashSet();
        int count = 0;
        int node = 0;
        while (chosen.Contains(node = tree.FindChild(node, plain[count])))
        {
            count++;
        }

        return count;
    }

    /// <summary>An answer decoded plainly, and a verifier that is to find it again.</summary>
    private sealed class PlainText : IDisposable
    {
        private readonly int[] _prompt;
        private readonly SamplingParams _sampling;
        private readonly Transformer _target;

        public PlainText(DemoBundle demo, SamplingParams sampling)
        {
            _prompt = demo.Prompts().First();
            _sampling = sampling;
            _target = demo.Target.Transformer;
            using DecodingLoop loop = demo.CreateLoop();
            var plain = loop.Run(LoopRuns.Request(_prompt, sampling, Answer) with { Speculation = SpeculationMode.Off, TopLogProbs = 0 });
            Tokens = plain.GeneratedIds.ToArray();
            LogProbs = [.. plain.LogProbs.Select(entry => entry.LogProb)];
            Cache = _target.CreateCache(_prompt.Length + Answer, TreeVerifier.MaxNodes + 1);
            Verifier = new TreeVerifier(_target, 384, MaxDepth, 5);
        }

        public int[] Tokens { get; }

        public float[] LogProbs { get; }

        public KvCache Cache { get; }

        public TreeVerifier Verifier { get; }

        /// <summary>The prompt, all but its last token in the cache.</summary>
        public TokenContext Begin()
        {
            var batch = new ForwardBatch(_target.MaxRows, 1);
            for (int position = 0; position < _prompt.Length - 1; position++)
            {
                batch.Add(_prompt[position], position);
            }

            batch.FirstLogitsRow = batch.Count;
            _target.Forward(batch, Cache);
            return new TokenContext(_prompt, _sampling, _target.Config.VocabularySize, _prompt.Length + Answer + MaxDepth);
        }

        public void Dispose() => Cache.Dispose();
    }
}
