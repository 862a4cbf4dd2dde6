using System.Text;
using System.Text.Json;
using Understory.Decoding.Drafters;
using Understory.Models.Tokenizers;

namespace Understory.Decoding.Tests.Drafters;

/// <summary>Real tokenizers of three kinds, each read through each other.</summary>
[Collection(DemoGroup.Name)]
public class VocabularyMapTests(DemoBundle demo)
{
    private const string Folder = "tokenizers";

    [SharedDataTheory("tokenizers/qwen3.tokenizer.json.gz")]
    [InlineData("qwen3", "gpt2", 0.8)]
    [InlineData("gpt2", "qwen3", 0.8)]
    [InlineData("qwen3", "phi-3-mini", 0.55)]
    [InlineData("phi-3-mini", "qwen3", 0.55)]
    [InlineData("gpt2", "phi-3-mini", 0.55)]
    public void Another_familys_tokens_keep_every_byte_and_come_near_to_what_it_writes_itself(string target, string draft, double share)
    {
        Tokenizer theirs = Load(target);
        Tokenizer own = Load(draft);
        VocabularyMap map = Map(theirs, own);
        Assert.True(map.Share > share, $"{map.Share:P1}");
        foreach (string line in File.ReadLines(SharedData.PathOf($"{Folder}/{target}.vectors.jsonl")))
        {
            using JsonDocument vector = JsonDocument.Parse(line);
            int[] ids = [.. vector.RootElement.GetProperty("ids_no_special").EnumerateArray().Select(id => id.GetInt32())];
            if (!ids.Any(theirs.IsSpecial))
            {
                Assert.Equal(Bytes(theirs, ids), Bytes(own, Translated(map, ids)));
            }
        }

        // Of the tokens that the draft writes itself, how many stand in the translation at the same place.
        (double same, double all) = (0, 0);
        foreach (string prompt in Texts().Take(40))
        {
            int[] plain = own.Literal.Encode(prompt, addSpecialTokens: false);
            int[] translated = Translated(map, theirs.Literal.Encode(prompt, addSpecialTokens: false));
            int length = Encoding.UTF8.GetByteCount(prompt);
            same += Spans(own, plain, length).Intersect(Spans(own, translated, length)).Count();
            all += plain.Length;
        }

        Assert.True(same / all > 0.9, $"{same / all:P1} of {all} tokens");
    }

    [SharedDataFact("tokenizers/qwen3.tokenizer.json.gz")]
    public void A_chat_templates_marks_are_text_to_a_draft_that_lacks_them_and_the_end_of_a_text_is_its_own_end()
    {
        Tokenizer qwen = Load("qwen3");
        Tokenizer gpt2 = Load("gpt2");
        Assert.True(qwen.TryGetId("<|im_start|>", out int mark));
        Assert.True(qwen.TryGetId("<|im_end|>", out int turnEnd));
        // Both have this one by name.
        Assert.True(qwen.TryGetId("<|endoftext|>", out int textEnd));
        Assert.True(gpt2.TryGetId("<|endoftext|>", out int ownEnd));
        VocabularyMap map = Map(qwen, gpt2, [turnEnd, textEnd], [ownEnd]);
        Assert.Equal("<|im_start|>", gpt2.Decode(map.DraftOf(mark).ToArray()));
        Assert.Equal([ownEnd], map.DraftOf(turnEnd).ToArray());
        Assert.Equal([ownEnd], map.DraftOf(textEnd).ToArray());
        Assert.Equal([textEnd], map.TargetOf(ownEnd).ToArray());
    }

    [SharedDataFact("tokenizers/qwen3.tokenizer.json.gz")]
    public void A_vocabulary_is_its_own_twin()
    {
        Tokenizer qwen = Load("qwen3");
        VocabularyMap map = Map(qwen, qwen);
        Assert.True(map.IsIdentity);
        Assert.Equal(1, map.Share);
        Assert.False(Map(qwen, Load("gpt2")).IsIdentity);
    }

    private static Tokenizer Load(string name) =>
        Tokenizer.Parse(SharedData.Unpacked($"{Folder}/{name}.tokenizer.json.gz"), name);

    private static IEnumerable<string> Texts()
    {
        foreach (string line in File.ReadLines(SharedData.PathOf("humaneval-even.jsonl")))
        {
            using JsonDocument task = JsonDocument.Parse(line);
            yield return task.RootElement.GetProperty("prompt").GetString()!;
        }
    }

    private static byte[] Bytes(Tokenizer tokenizer, int[] tokens) =>
        [.. tokens.SelectMany(token => tokenizer.TokenBytes(token).ToArray())];

    /// <summary>Where tokens begin and end in a text; a blank that the tokenizer put before it is before 0.</summary>
    private static HashSet<(int, int)> Spans(Tokenizer tokenizer, int[] tokens, int length)
    {
        var spans = new HashSet<(int, int)>();
        int start = length - tokens.Sum(token => tokenizer.TokenBytes(token).Length);
        foreach (int token in tokens)
        {
            int end = start + tokenizer.TokenBytes(token).Length;
            spans.Add((start, end));
            start = end;
        }

        return spans;
    }

    private VocabularyMap Map(Tokenizer target, Tokenizer draft, int[]? targetEnds = null, int[]? draftEnds = null) => new(
        (target, demo.Target.Config with { VocabularySize = target.VocabularySize, EosTokenIds = targetEnds ?? [] }),
        (draft, demo.Target.Config with { VocabularySize = draft.VocabularySize, EosTokenIds = draftEnds ?? [] }));

    private int[] Translated(VocabularyMap map, int[] tokens)
    {
        using var cache = new TranslatedCache(demo.Draft.Transformer.CreateCache(16, 16), default, map, 512);
        cache.Translate(tokens);
        return cache.Tokens.ToArray();
    }
}
