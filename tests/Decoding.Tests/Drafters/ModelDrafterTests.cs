using Understory.Decoding.Drafters;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;

namespace Understory.Decoding.Tests.Drafters;

[Collection(DemoGroup.Name)]
public class ModelDrafterTests(DemoBundle demo)
{
    [Fact]
    public void A_round_that_fails_before_its_pass_is_done_leaves_the_cache_as_it_was()
    {
        int[] prompt = demo.Prompts().First();
        var drafter = new ModelDrafter(demo.Draft.Transformer, 4, 8);
        using DecodingLoop loop = new(demo.Target.Transformer, demo.Target.Tokenizer, drafter, null, new DecodingOptions { MaxDepth = 8 });
        using KvCache target = demo.Target.Transformer.CreateCache(128);
        DraftCache cache = drafter.CreateCache(target, 128);
        using (cache)
        {
            var context = new TokenContext(prompt, SamplingParams.Greedy, demo.Target.Config.VocabularySize, prompt.Length + 16);
            drafter.BeginStep(cache, context);
            drafter.Begin(cache, context);
            Assert.Equal(0, cache.Committed);

            // As after an exception: the round begins again, with all tokens.
            drafter.BeginStep(cache, context);
            drafter.Begin(cache, context);
            Assert.Equal(prompt.Length, drafter.Rows);
            drafter.Run(cache, context);
            Assert.Equal(prompt.Length, cache.Committed);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(64)]
    [InlineData(int.MaxValue)]
    public void A_tree_deeper_than_it_may_have_nodes_is_refused(int depth) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new DecodingOptions { MaxDepth = depth });

    [Fact]
    public void The_deepest_tree_decodes_like_any_other()
    {
        using var loop = new DecodingLoop(demo.Target, demo.Draft, null, new DecodingOptions { MaxDepth = 63 });
        GenerationRequest request = LoopRuns.Request(demo.Prompts().First(), SamplingParams.Greedy, 80);
        Assert.Equal(
            loop.Decode(request with { Speculation = SpeculationMode.Off }),
            loop.Decode(request with { Speculation = SpeculationMode.Ngram, SpeculationNodes = 63 }));
    }
}
