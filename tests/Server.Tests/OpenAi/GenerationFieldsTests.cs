using System.Text;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Tests.OpenAi;

public sealed class GenerationFieldsTests
{
    private static readonly GenerationDefaults Recommended =
        new(Temperature: 0.6f, TopK: 20, TopP: 0.95f, MinP: 0.1f, RepetitionPenalty: 1.1f);

    private static GenerationFields Read(string body, GenerationDefaults? defaults = null) => Fields.Read(
        Encoding.UTF8.GetBytes(body), fields =>
            GenerationFields.Read(fields, new RequestContext(defaults ?? new GenerationDefaults(), 4096, SpeculationMode.Staged)));

    [Fact]
    public void A_request_wins_over_the_models_recommendations_and_those_over_OpenAIs_defaults()
    {
        var sampling = Read("{}").Sampling;
        Assert.Equal((1, 0, 1, 0, 1), (sampling.Temperature, sampling.TopK, sampling.TopP, sampling.MinP, sampling.RepetitionPenalty));
        sampling = Read("{}", Recommended).Sampling;
        Assert.Equal((0.6f, 20, 0.95f, 0.1f, 1.1f),
            (sampling.Temperature, sampling.TopK, sampling.TopP, sampling.MinP, sampling.RepetitionPenalty));
        sampling =
            Read("{\"temperature\": 0.2, \"top_k\": -1, \"top_p\": 1, \"min_p\": 0, \"repetition_penalty\": 1}", Recommended).Sampling;
        Assert.Equal((0.2f, 0, 1, 0, 1), (sampling.Temperature, sampling.TopK, sampling.TopP, sampling.MinP, sampling.RepetitionPenalty));
    }

    [Fact]
    public void A_model_that_recommends_not_to_sample_is_greedy_unless_told_otherwise()
    {
        GenerationDefaults greedy = Recommended with { DoSample = false };
        Assert.Equal(0, Read("{}", greedy).Sampling.Temperature);
        Assert.Equal(0.5f, Read("{\"temperature\": 0.5}", greedy).Sampling.Temperature);
    }

    [Fact]
    public void Silence_means_one_choice_in_the_servers_mode()
    {
        GenerationFields fields = Read("{}");
        Assert.Equal((1, null, SpeculationMode.Staged, null),
            (fields.Choices, fields.MaxTokens, fields.Speculation, fields.SpeculationNodes));
        Assert.False(fields.Stream || fields.IgnoreEos || fields.IncludeUsage);
        Assert.Empty(fields.Stop);
        Assert.Null(fields.Sampling.LogitBias);
    }

    [Fact]
    public void A_seed_may_be_any_integer_and_one_that_is_drawn_fits_every_JSON_reader()
    {
        Assert.Equal(7ul, Read("{\"seed\": 7}").Sampling.Seed);
        Assert.Equal(ulong.MaxValue, Read("{\"seed\": -1}").Sampling.Seed);
        Assert.Equal(ulong.MaxValue, Read("{\"seed\": 18446744073709551615}").Sampling.Seed);
        Assert.Equal(16ul, Read("{\"seed\": 1.6e1}").Sampling.Seed);
        ulong[] drawn = [.. Enumerable.Range(0, 100).Select(_ => Read("{}").Sampling.Seed)];
        Assert.All(drawn, seed => Assert.InRange(seed, 0ul, (1ul << 53) - 1));
        Assert.Equal(100, drawn.Distinct().Count());
    }

    [Theory]
    [InlineData("{\"max_tokens\": 5}", 5)]
    [InlineData("{\"max_tokens\": 5.0}", 5)]
    [InlineData("{\"max_completion_tokens\": 5}", 5)]
    [InlineData("{\"max_tokens\": 5, \"max_completion_tokens\": 6}", 6)]
    [InlineData("{\"max_tokens\": 0}", 0)]
    public void Max_completion_tokens_is_another_name_of_max_tokens(string body, int expected) =>
        Assert.Equal(expected, Read(body).MaxTokens);

    [Fact]
    public void A_vanishing_temperature_is_greedy() => Assert.Equal(0, Read("{\"temperature\": 1e-30}").Sampling.Temperature);
}
