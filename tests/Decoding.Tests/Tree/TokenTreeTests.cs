using FsCheck;
using FsCheck.Fluent;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Tests.Tree;

public class TokenTreeTests
{
    [Fact]
    public void Every_leading_part_of_the_order_is_connected_to_the_root()
    {
        Prop.ForAll(Trees(), tree =>
        {
            tree.Sort();
            var seen = new HashSet<int> { 0 };
            for (int place = 0; place < tree.OrderedCount; place++)
            {
                int node = tree.Ordered(place);
                if (!seen.Contains(tree.Parent(node)))
                {
                    return false;
                }

                seen.Add(node);
            }

            return seen.Count == tree.Count;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_order_falls_in_estimated_acceptance()
    {
        Prop.ForAll(Trees(), tree =>
        {
            tree.Sort();
            return Enumerable.Range(1, Math.Max(0, tree.OrderedCount - 1))
                .All(place => tree.A(tree.Ordered(place)) <= tree.A(tree.Ordered(place - 1)));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_path_leads_from_below_the_root_to_its_node()
    {
        Prop.ForAll(Trees(), tree =>
        {
            var buffer = new int[tree.Capacity];
            for (int node = 0; node < tree.Count; node++)
            {
                int at = 0;
                foreach (int token in tree.PathTokens(node, buffer))
                {
                    at = tree.FindChild(at, token);
                }

                if (tree.Token(at) != tree.Token(node) || tree.Depth(at) != tree.Depth(node))
                {
                    return false;
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_node_is_as_likely_as_its_parent_times_its_conditional()
    {
        var tree = new TokenTree(8);
        tree.Reset(7);
        int child = tree.Add(0, 3, Stage.Draft, 0, 0.9f, 0.5f);
        int grandchild = tree.Add(child, 4, Stage.Draft, 0, 0.9f, 0.25f);
        Assert.Equal(1f, tree.A(0));
        Assert.Equal(0.5f, tree.A(child));
        Assert.Equal(0.125f, tree.A(grandchild));
        Assert.Equal(2, tree.Depth(grandchild));
    }

    [Fact]
    public void A_full_tree_takes_no_more_nodes_and_a_reset_empties_it()
    {
        var tree = new TokenTree(2);
        tree.Reset(1);
        Assert.Equal(1, tree.Add(0, 2, Stage.Ngram, 0, 1, 1));
        Assert.Equal(-1, tree.Add(0, 3, Stage.Ngram, 0, 1, 1));
        tree.Reset(5);
        Assert.Equal(1, tree.Count);
        Assert.Equal(5, tree.Token(0));
        Assert.Equal(-1, tree.FindChild(0, 2));
    }

    /// <summary>Random trees with distinct sibling tokens.</summary>
    internal static Arbitrary<TokenTree> Trees() => Gen.Choose(0, int.MaxValue - 1).Select(seed =>
    {
        var random = new Random(seed);
        var tree = new TokenTree(64);
        tree.Reset(random.Next(50));
        int count = random.Next(1, 64);
        for (int i = 1; i < count; i++)
        {
            int parent = random.Next(tree.Count);
            int token = random.Next(50);
            if (tree.FindChild(parent, token) < 0)
            {
                // Some conditionals of exactly 1: ties must stay connected.
                float conditional = random.Next(4) == 0 ? 1 : random.NextSingle();
                tree.Add(parent, token, Stage.Draft, 0, conditional, conditional);
            }
        }

        return tree;
    }).ToArbitrary();
}
