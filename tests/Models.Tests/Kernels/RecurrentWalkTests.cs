using Understory.Models.Kernels;

namespace Understory.Models.Tests.Kernels;

/// <summary>Every row is applied behind its own path, whatever the tree, and with few copies of a state.</summary>
public class RecurrentWalkTests
{
    private const int Taps = 4;
    private const int Kept = 160;
    private const int MaxRows = 80;

    [Fact]
    public void A_row_is_applied_behind_its_own_path_and_the_largest_subtree_takes_over_a_buffer()
    {
        var random = new Random(7);
        var walk = new RecurrentWalk(MaxRows, Kept, Taps);
        for (int round = 0; round < 2000; round++)
        {
            int applied = random.Next(0, 50);
            int accepted = applied > 0 ? random.Next(0, 9) : 0;
            int plain = random.Next(1, 4);
            var tree = new RandomTree(random, applied + accepted, plain, random.Next(0, 64));
            Assert.Equal(applied + accepted + plain, walk.Plan(tree.Batch, applied, plain, Kept));
            AssertWalks(walk, tree, applied, accepted, plain);
        }
    }

    [Fact]
    public void A_second_pass_over_the_same_tree_goes_through_the_rows_that_the_first_one_kept()
    {
        // Behind two plain rows a chain of two, then a pass with two children of its end and one of its beginning.
        const int Start = 10;
        var walk = new RecurrentWalk(MaxRows, Kept, Taps);
        var batch = new ForwardBatch(MaxRows, 8);
        batch.Add(1, Start);
        batch.Add(2, Start + 1);
        batch.Add(3, 12, 12, []);
        batch.Add(4, 13, 12, [12]);
        Assert.Equal(12, walk.Plan(batch, Start, 2, Kept));
        Assert.Equal([~2, 0, 1, 2, 3], walk.Keep[..walk.KeepCount]);

        batch.Clear();
        batch.Add(5, 14, 12, [12, 13]);
        batch.Add(6, 15, 12, [12, 13]);
        batch.Add(7, 16, 12, [12]);
        Assert.Equal(12, walk.Plan(batch, 12, 0, Kept));
        Assert.Equal((5, 2), (walk.Count, walk.Earlier));
        Assert.Equal([~3, ~4, 0, 1, 2], walk.Sources[..5]);
        Assert.Equal([~0, ~1, ~2, ~1, ~2, ~3, ~2, ~3, ~4, ~2, ~3, ~4, ~1, ~2, ~3], walk.Taps[..15]);
        // Nothing is applied to the state itself.
        Assert.DoesNotContain(RecurrentWalk.State, walk.To[..5]);
        Assert.Equal([~0, ~1, ~2, ~3, ~4, 0, 1, 2], walk.Keep[..walk.KeepCount]);
    }

    private static void AssertWalks(RecurrentWalk walk, RandomTree tree, int applied, int accepted, int plain)
    {
        int count = accepted + tree.Batch.Count;
        Assert.Equal((count, accepted), (walk.Count, walk.Earlier));
        Assert.Equal(Enumerable.Range(0, count), walk.Steps[..count].Order());

        // Each buffer's path: nodes applied to it so far.
        int most = 2 + (int)Math.Ceiling(Math.Log2(Math.Max(1, tree.Nodes)));
        Assert.InRange(walk.Buffers, 1, most);
        var buffers = new Dictionary<int, int[]> { [RecurrentWalk.State] = [] };
        for (int step = 0; step < count; step++)
        {
            int node = walk.Steps[step];
            int[] path = [.. buffers[walk.From[step]], node];
            Assert.Equal(tree.Path(node, accepted, plain), path);
            bool inState = node < accepted + plain;
            Assert.Equal(inState, walk.To[step] == RecurrentWalk.State);
            if (walk.To[step] >= 0)
            {
                buffers[walk.To[step]] = path;
            }

            // What the convolution reads: the path's last rows, and before them those that the state is behind.
            int[] before = [.. Enumerable.Range(0, Taps - 1).Select(i => ~i), .. path[..^1].Select(n => walk.Sources[n])];
            Assert.Equal(before[^(Taps - 1)..], walk.Taps[(node * (Taps - 1))..((node + 1) * (Taps - 1))]);
        }

        AssertKeeps(walk, tree, applied, accepted, plain);
    }

    /// <summary>Behind the pass the rows before the state's new position stand first, and each node where its slot is.</summary>
    private static void AssertKeeps(RecurrentWalk walk, RandomTree tree, int applied, int accepted, int plain)
    {
        int behind = applied + accepted + plain;
        int[] text = [.. Enumerable.Range(0, Taps - 1 + accepted).Select(i => ~i), .. Enumerable.Range(0, plain)];
        Assert.Equal(text[^(Taps - 1)..], walk.Keep[..(Taps - 1)]);
        for (int row = plain; row < tree.Batch.Count; row++)
        {
            Assert.Equal(row, walk.Keep[tree.Batch.Slots[row] - behind + Taps - 1]);
        }

        for (int i = 0; i < walk.KeepCount; i++)
        {
            // In this order a row is read before it is overwritten.
            Assert.True(walk.Keep[i] >= 0 || ~walk.Keep[i] >= i);
        }
    }

    private sealed class RandomTree
    {
        private readonly int[] _parents;

        public RandomTree(Random random, int start, int plain, int nodes)
        {
            Batch = new ForwardBatch(MaxRows, 70);
            _parents = new int[plain + nodes];
            for (int i = 0; i < plain; i++)
            {
                _parents[i] = i - 1;
                Batch.Add(i, start + i);
            }

            int behind = start + plain;
            bool deep = random.Next(2) == 0;
            for (int node = 0; node < nodes; node++)
            {
                int parent = node == 0 ? -1 : deep && random.Next(4) > 0 ? node - 1 : random.Next(-1, node);
                _parents[plain + node] = parent < 0 ? plain - 1 : plain + parent;
                var path = new List<int>();
                for (int above = parent; above >= 0; above = _parents[plain + above] - plain)
                {
                    path.Insert(0, behind + above);
                }

                Batch.Add(node, behind + node, behind, [.. path]);
            }
        }

        public ForwardBatch Batch { get; }

        public int Nodes => Batch.Count;

        /// <summary>The nodes of a walk from the state to one.</summary>
        public int[] Path(int node, int accepted, int plain)
        {
            Assert.True(plain > 0);
            var path = new List<int>();
            for (int row = node - accepted; row >= 0; row = _parents[row])
            {
                path.Insert(0, accepted + row);
            }

            return node < accepted ? [.. Enumerable.Range(0, node + 1)] : [.. Enumerable.Range(0, accepted), .. path];
        }
    }
}
