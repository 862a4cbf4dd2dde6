using FsCheck;
using FsCheck.Fluent;
using Understory.Models.Tokenizers;

namespace Understory.Models.Tests.Tokenizers;

public class WordMergerTests
{
    /// <summary>Merges of small symbols; the second set has ranks in common, as SentencePiece's scores may.</summary>
    private static readonly Merge[][] s_tables =
    [
        [new(0, 0, 3, 2), new(0, 1, 4, 0), new(1, 2, 5, 1), new(3, 3, 6, 5), new(4, 2, 7, 3), new(3, 4, 8, 4), new(6, 6, 9, 6),
            new(8, 7, 10, 7)],
        [new(0, 0, 3, 1), new(0, 1, 4, 1), new(1, 0, 5, 1), new(3, 1, 6, 0), new(2, 2, 7, 2), new(7, 7, 8, 2), new(4, 5, 9, 0)],
    ];

    [Fact]
    public void Merging_takes_the_lowest_rank_and_then_the_leftmost_pair_whatever_the_length()
    {
        Arbitrary<int[]> words = Gen.Choose(0, 2).ArrayOf().Resize(300).ToArbitrary();
        foreach (Merge[] merges in s_tables)
        {
            var table = new MergeTable(merges.Length);
            foreach (Merge merge in merges)
            {
                table.Set(merge.Left, merge.Right, merge.Rank, merge.Merged);
            }

            var merger = new WordMerger(table);
            Prop.ForAll(words, word =>
            {
                int[] symbols = [.. word];
                int left = merger.Merge(symbols);
                Assert.Equal(MergePlainly(merges, word), symbols[..left]);
            }).QuickCheckThrowOnFailure();
        }
    }

    [Fact]
    public void A_run_of_one_symbol_merges_from_the_left()
    {
        var table = new MergeTable(2);
        table.Set(0, 0, 0, 1);
        table.Set(1, 1, 1, 2);
        var symbols = new int[1001];
        Assert.Equal(251, new WordMerger(table).Merge(symbols));
        Assert.All(symbols[..250], symbol => Assert.Equal(2, symbol));
        Assert.Equal(0, symbols[250]);
    }

    private static List<int> MergePlainly(Merge[] merges, int[] word)
    {
        List<int> symbols = [.. word];
        while (true)
        {
            (Merge Merge, int At)? best = null;
            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                foreach (Merge merge in merges)
                {
                    if (merge.Left == symbols[i] && merge.Right == symbols[i + 1] && (best is null || merge.Rank < best.Value.Merge.Rank))
                    {
                        best = (merge, i);
                    }
                }
            }

            if (best is null)
            {
                return symbols;
            }

            symbols[best.Value.At] = best.Value.Merge.Merged;
            symbols.RemoveAt(best.Value.At + 1);
        }
    }
}
