using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Training.Files;
using Understory.Training.Tests.Drafting;

namespace Understory.Training.Tests.Files;

public sealed class TokenizerCutterTests : IDisposable
{
    private const int Kept = 8192;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SharedDataTheory("tokenizers")]
    [InlineData("gpt2", 50257, 50256)]
    [InlineData("phi-3-mini", 32064, 32000)]
    [InlineData("qwen3", 151936, 151645)]
    public void Any_text_can_be_written_with_what_is_left_of_a_tokenizer_that_people_have(string name, int size, int end)
    {
        string path = _folder["tokenizer.json"];
        File.WriteAllBytes(path, SharedData.Unpacked($"tokenizers/{name}.tokenizer.json.gz"));
        var whole = Tokenizer.Load(path);
        using var target = new TinyTarget(folder: true);
        ModelConfig config = target.Model.Config with { VocabularySize = size, EosTokenIds = [end] };
        TokenizerCutter cutter = TokenizerCutter.Of(Path.GetDirectoryName(path)!, config)!;
        int[] kept = [.. cutter.Ids.OrderByDescending(id => cutter.IsSpecial(id) || whole.TokenBytes(id).Length == 1).Take(Kept).Order()];
        CutTokenizer cut = cutter.Cut(kept);

        Assert.Equal(Kept, cut.Tokenizer.VocabularySize);
        int ending = Assert.Single(cut.EndIds);
        Assert.Equal(whole.TokenBytes(end), cut.Tokenizer.TokenBytes(ending));
        Assert.Equal([ending], cut.Tokenizer.Encode(whole.Decode([end])));
        Assert.All(kept.Select((id, place) => (id, place)), pair =>
            Assert.Equal(whole.TokenBytes(pair.id), cut.Tokenizer.TokenBytes(pair.place)));
        const string Text = "def größe(x):\n    return \"\u4E2D\U0001F600\"  # 3.14\n";
        Assert.Equal(Text, cut.Tokenizer.Decode(cut.Tokenizer.Bare.Encode(Text)));
        Assert.True(cut.Tokenizer.Bare.Encode(Text).Length >= whole.Bare.Encode(Text).Length);
    }
}
