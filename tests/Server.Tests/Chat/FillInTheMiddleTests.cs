using System.Text;
using System.Text.Json.Nodes;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Chat;

public sealed class FillInTheMiddleTests
{
    /// <summary>The demo's tokenizer with further special tokens, from id 4096 on.</summary>
    private static Tokenizer With(params string[] tokens)
    {
        JsonNode json = JsonNode.Parse(File.ReadAllText(Standin.TokenizerFile))!;
        JsonArray added = json["added_tokens"]!.AsArray();
        foreach ((int i, string token) in tokens.Index())
        {
            added.Add(new JsonObject
            {
                ["id"] = 4096 + i,
                ["content"] = token,
                ["single_word"] = false,
                ["lstrip"] = false,
                ["rstrip"] = false,
                ["normalized"] = false,
                ["special"] = true,
            });
        }

        return Tokenizer.Parse(Encoding.UTF8.GetBytes(json.ToJsonString()), "test");
    }

    [Theory]
    [InlineData("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")]
    [InlineData("<fim_prefix>", "<fim_suffix>", "<fim_middle>")]
    [InlineData("<fim-prefix>", "<fim-suffix>", "<fim-middle>")]
    [InlineData("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")]
    [InlineData("▁<PRE>", "▁<SUF>", "▁<MID>")]
    public void Prefix_and_suffix_stand_around_the_gap_between_the_models_own_tokens(string prefix, string suffix, string middle)
    {
        FillInTheMiddle infill = FillInTheMiddle.Find(With(middle, prefix, suffix))!;
        Assert.Equal([1, 4097, 2, 3, 4098, 4, 4096], infill.Join([1], [2, 3], [4]));
        Assert.Equal(prefix.Contains("PRE", StringComparison.Ordinal), infill.Stops.Count > 0);
    }

    [Fact]
    public void Without_a_word_for_the_middle_the_suffix_comes_first() =>
        Assert.Equal([1, 4097, 4, 4096, 2, 3], FillInTheMiddle.Find(With("[PREFIX]", "[SUFFIX]"))!.Join([1], [2, 3], [4]));

    [Fact]
    public void Half_a_set_of_tokens_is_none() => Assert.Null(FillInTheMiddle.Find(With("<|fim_prefix|>", "<|fim_suffix|>")));

    [Fact]
    public async Task A_request_with_a_suffix_is_decoded_from_behind_the_gap()
    {
        Tokenizer tokenizer = With("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>");
        await using ScriptedServer server =
            await ScriptedServer.StartAsync(model: ScriptedServer.Model() with { Tokenizer = tokenizer, Vocabulary = 4099 });
        foreach (string prompt in (string[])["\"a = [\"", new JsonArray([.. tokenizer.Encode("a = [").Select(id => (JsonNode)id)])
            .ToJsonString()])
        {
            Task<HttpResponseMessage> answer =
                server.PostAsync("/v1/completions", $"{{\"prompt\": {prompt}, \"suffix\": \"]\\nprint(a)\"}}");
            GenerationJob job = await server.TakeAsync();
            Assert.Equal([4096, .. tokenizer.Encode("a = ["), 4097, .. tokenizer.Encode("]\nprint(a)"), 4098], job.Choices[0].Prompt);
            ScriptedServer.Say(job, "1");
            server.Finish(job);
            Assert.Equal("1", (string)(await (await answer).JsonAsync())["choices"]![0]!["text"]!);
        }
    }
}
