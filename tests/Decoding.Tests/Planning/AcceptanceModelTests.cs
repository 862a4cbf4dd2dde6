using Understory.Decoding.Planning;
using Understory.Decoding.Tree;

namespace Understory.Decoding.Tests.Planning;

public class AcceptanceModelTests
{
    [Theory]
    [InlineData(0.9f, 0.3)]
    [InlineData(0.2f, 0.6)]
    public void What_is_observed_replaces_what_was_predicted(float predicted, double observed)
    {
        var model = new AcceptanceModel();
        var random = new Random(1);
        for (int i = 0; i < 4000; i++)
        {
            model.Observe(Stage.Draft, true, 0, predicted, random.NextDouble() < observed);
        }

        model.BeginSequence();
        Assert.Equal(observed, model.Calibrate(Stage.Draft, true, 0, predicted), 0.06);
    }

    [Fact]
    public void Without_observations_the_prediction_stands() =>
        Assert.Equal(0.4f, new AcceptanceModel().Calibrate(Stage.Ngram, false, 1, 0.4f), 3);

    [Fact]
    public void Stages_and_places_and_modes_are_learned_apart()
    {
        var model = new AcceptanceModel();
        for (int i = 0; i < 500; i++)
        {
            model.Observe(Stage.Draft, true, 0, 0.5f, false);
        }

        model.BeginSequence();
        Assert.True(model.Calibrate(Stage.Draft, true, 0, 0.5f) < 0.05f);
        Assert.Equal(0.5f, model.Calibrate(Stage.Draft, false, 0, 0.5f), 3);
        Assert.Equal(0.5f, model.Calibrate(Stage.Draft, true, 1, 0.5f), 3);
        Assert.Equal(0.5f, model.Calibrate(Stage.Ngram, true, 0, 0.5f), 3);
    }

    [Fact]
    public void What_an_n_gram_is_sure_of_goes_by_what_it_was_sure_of_in_this_sequence()
    {
        var model = new AcceptanceModel();
        for (int i = 0; i < 1000; i++)
        {
            model.Observe(Stage.Ngram, true, 0, 0.9f, true);
            model.Observe(Stage.Ngram, true, 0, 0.2f, i % 5 == 0);
        }

        model.BeginSequence();
        float sure = model.Calibrate(Stage.Ngram, true, 0, 0.9f);
        float unsure = model.Calibrate(Stage.Ngram, true, 0, 0.2f);
        for (int i = 0; i < 20; i++)
        {
            model.Observe(Stage.Ngram, true, 0, 0.2f, false);
        }

        Assert.Equal(sure, model.Calibrate(Stage.Ngram, true, 0, 0.9f));
        Assert.True(model.Calibrate(Stage.Ngram, true, 0, 0.2f) < 0.8f * unsure);
        for (int i = 0; i < 3; i++)
        {
            model.Observe(Stage.Ngram, true, 0, 0.9f, false);
        }

        Assert.True(model.Calibrate(Stage.Ngram, true, 0, 0.9f) < 0.75f * sure);
    }

    [Fact]
    public void A_sequence_that_goes_badly_is_noticed_within_a_dozen_tokens_and_forgotten_at_the_next()
    {
        var model = new AcceptanceModel();
        for (int i = 0; i < 1000; i++)
        {
            model.Observe(Stage.Draft, true, 0, 0.7f, i % 10 < 7);
        }

        model.BeginSequence();
        float before = model.Calibrate(Stage.Draft, true, 0, 0.7f);
        for (int i = 0; i < 12; i++)
        {
            model.Observe(Stage.Draft, true, 0, 0.7f, false);
        }

        Assert.True(model.Calibrate(Stage.Draft, true, 0, 0.7f) < before / 1.9);
        model.BeginSequence();
        Assert.True(model.Calibrate(Stage.Draft, true, 0, 0.7f) > before * 0.9);
    }

    [Fact]
    public void Where_acceptance_falls_with_depth_deep_candidates_are_believed_less_and_those_never_seen_are_as_the_deepest_seen()
    {
        var model = new AcceptanceModel();
        var random = new Random(2);
        for (int i = 0; i < 2000; i++)
        {
            int depth = i % 3;
            model.Observe(Stage.Draft, true, 0, 0.7f, random.NextDouble() < 0.85 * Math.Pow(0.75, depth), depth);
        }

        model.BeginSequence();
        for (int depth = 0; depth < 3; depth++)
        {
            Assert.Equal(0.85 * Math.Pow(0.75, depth), model.Calibrate(Stage.Draft, true, 0, 0.7f, depth), 0.06);
            Assert.Equal(0.85 * Math.Pow(0.75, depth), model.Average(Stage.Draft, true, 0, depth), 0.06);
        }

        Assert.Equal(model.Calibrate(Stage.Draft, true, 0, 0.7f, 2), model.Calibrate(Stage.Draft, true, 0, 0.7f, 30), 0.001f);
    }

    [Fact]
    public void A_few_misses_at_a_depth_say_little_of_it()
    {
        var model = new AcceptanceModel();
        model.Observe(Stage.Draft, true, 0, 0.7f, false, depth: 3);
        model.BeginSequence();
        Assert.InRange(model.Calibrate(Stage.Draft, true, 0, 0.7f, 3) / model.Calibrate(Stage.Draft, true, 0, 0.7f, 0), 0.9, 0.99);
    }

    [Fact]
    public void Doubt_falls_with_what_was_observed_and_comes_back_in_part_with_a_new_sequence()
    {
        var model = new AcceptanceModel();
        double before = model.Doubt(Stage.Draft, true);
        for (int i = 0; i < 500; i++)
        {
            model.Observe(Stage.Draft, true, 0, 0.7f, i % 10 < 7);
        }

        double after = model.Doubt(Stage.Draft, true);
        model.BeginSequence();
        Assert.InRange(after, 0.01, before / 1.5);
        Assert.InRange(model.Doubt(Stage.Draft, true), after + 0.01, before - 0.01);
    }
}
