using System.Text;
using Understory.Models.Tokenizers;
using Understory.Training.Curriculum;
using Understory.Training.Tokens;

namespace Understory.Training.Tests.Tokens;

public class BpeTrainerTests
{
    private static readonly Lazy<ByteLevelBpe> _trained = new(() => Train(Texts(400), 1000));

    [Fact]
    public void Texts_come_back_as_they_were()
    {
        Tokenizer tokenizer = Load(_trained.Value);
        foreach (string text in Texts(100).Append("caf\u00E9 \u6F22\u5B57 \U0001F600\n\n\tx  y 1234567"))
        {
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        }
    }

    [Fact]
    public void Merges_are_those_of_a_naive_trainer()
    {
        var counter = new WordCounter(ChatMarks.All);
        foreach (string text in Texts(30))
        {
            counter.Add(text);
        }

        ByteLevelBpe trained = BpeTrainer.Train(counter.Counts, 261 + 150, ChatMarks.All);
        Assert.Equal(Naive(counter.Counts, ChatMarks.All.Count, 150), trained.Merges);
    }

    [Fact]
    public void The_same_texts_in_another_order_give_the_same_tokens() =>
        Assert.Equal(Train(Texts(50), 500).Merges, Train(Texts(50).Reverse(), 500).Merges);

    [Fact]
    public void Special_tokens_have_the_first_ids_and_are_never_cut()
    {
        Tokenizer tokenizer = Load(_trained.Value);
        Assert.Equal(1000, tokenizer.VocabularySize);
        int[] ids = tokenizer.Encode(string.Concat(ChatMarks.All));
        Assert.Equal(Enumerable.Range(0, ChatMarks.All.Count), ids);
    }

    [Fact]
    public void Digits_are_tokens_of_their_own()
    {
        Tokenizer tokenizer = Load(_trained.Value);
        Assert.Equal(["1", "2", "3", "4"], tokenizer.Encode("1234").Select(id => tokenizer.TokenText(id)));
    }

    [Fact]
    public void A_text_cut_behind_any_line_break_has_the_same_tokens_as_the_whole()
    {
        Tokenizer tokenizer = Load(_trained.Value);
        Assert.All(CurriculumSource.HeldOutFunctions(), function => Assert.Equal(
            tokenizer.Bare.Encode(function.Text),
            (int[])[.. tokenizer.Bare.Encode(function.Prompt), .. tokenizer.Bare.Encode(function.Text[function.Prompt.Length..])]));
    }

    [Fact]
    public void Where_no_pair_occurs_twice_the_vocabulary_stays_smaller() =>
        Assert.Equal(256 + 1, BpeTrainer.Train(new Dictionary<string, long> { ["abab"] = 1, ["cd"] = 1 }, 300, []).Size);

    [Fact]
    public void A_gguf_vocabulary_cuts_as_the_tokenizer_file_does()
    {
        Tokenizer file = Load(_trained.Value);
        ByteLevelBpe tokens = _trained.Value;
        Tokenizer gguf = Tokenizer.FromGguf(new GgufVocabulary(
            "gpt2", WordCounter.PreTokenizer, [.. tokens.Tokens], null,
            [.. Enumerable.Range(0, tokens.Size).Select(id => id < tokens.Specials.Count ? 3 : 1)],
            [.. tokens.Merges.Select(merge => $"{tokens.Tokens[merge.Left]} {tokens.Tokens[merge.Right]}")],
            0, 4, null, false, false, false));
        Assert.All(Texts(50), text => Assert.Equal(file.Encode(text), gguf.Encode(text)));
    }

    private static IEnumerable<string> Texts(int count) => new CurriculumSource().Texts(21).Take(count);

    private static ByteLevelBpe Train(IEnumerable<string> texts, int size)
    {
        var counter = new WordCounter(ChatMarks.All);
        foreach (string text in texts)
        {
            counter.Add(text);
        }

        return BpeTrainer.Train(counter.Counts, size, ChatMarks.All);
    }

    private static Tokenizer Load(ByteLevelBpe tokens) =>
        Tokenizer.Parse(Encoding.UTF8.GetBytes(TokenizerFiles.Tokenizer(tokens).ToJsonString()), "tokenizer.json");

    /// <summary>Counts every pair of every word anew for each merge.</summary>
    private static List<(int, int)> Naive(IReadOnlyDictionary<string, long> words, int specials, int merges)
    {
        List<(List<int> Symbols, long Count)> all =
            [.. words.Select(word => (Encoding.UTF8.GetBytes(word.Key).Select(value => specials + value).ToList(), word.Value))];
        var result = new List<(int, int)>();
        while (result.Count < merges)
        {
            var counts = new Dictionary<(int, int), long>();
            foreach ((List<int> symbols, long count) in all)
            {
                foreach ((int, int) pair in symbols.Zip(symbols.Skip(1)))
                {
                    counts[pair] = counts.GetValueOrDefault(pair) + count;
                }
            }

            (int Left, int Right) best = counts.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key).First().Key;
            int merged = specials + 256 + result.Count;
            result.Add(best);
            foreach ((List<int> symbols, _) in all)
            {
                for (int i = 0; i + 1 < symbols.Count; i++)
                {
                    if ((symbols[i], symbols[i + 1]) == best)
                    {
                        symbols[i] = merged;
                        symbols.RemoveAt(i + 1);
                    }
                }
            }
        }

        return result;
    }
}
