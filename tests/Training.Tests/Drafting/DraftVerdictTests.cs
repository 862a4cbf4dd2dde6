using Understory.Server.Verbs.Bench;
using Understory.Training.Drafting;

namespace Understory.Training.Tests.Drafting;

public class DraftVerdictTests
{
    private static Measured Set(string name, double auto, bool equal = true, double[]? byPrompt = null) => new(
        name, byPrompt ?? [auto, auto, auto, auto], new Dictionary<string, ModeResult>
        {
            ["auto"] = Mode(auto),
            ["chain"] = Mode(auto, proposed: 40, accepted: 10),
        }, equal);

    private static ModeResult Mode(double speedup, long proposed = 0, long accepted = 0) => new()
    {
        TokensPerSecond = 1,
        Speedup = speedup,
        TokensPerBatch = 1,
        WeightTraffic = 1,
        OverheadPercent = 0,
        DraftPassesPerBatch = 0,
        NodesPerBatch = 0,
        Stages = [new StageResult("ngram", 0, 0, 0, 0), new StageResult("draft", proposed, accepted, 0, 0)],
    };

    [Theory]
    [InlineData(1.00, 1.10, 1.50, DraftMeasurement.Draft)]
    [InlineData(1.00, 1.20, 1.10, DraftMeasurement.Ngram)]
    [InlineData(1.30, 1.20, 1.30, null)]
    [InlineData(0.90, 0.95, 0.99, null)]
    [InlineData(1.00, 1.00, 1.01, null)]
    public void Only_what_is_faster_than_off_and_than_what_there_is_is_installed(double alone, double ngram, double draft, string? expected)
    {
        DraftVerdict verdict = DraftMeasurement.Judge(
            [Set(DraftMeasurement.Alone, alone), Set(DraftMeasurement.Ngram, ngram), Set(DraftMeasurement.Draft, draft)]);
        Assert.Equal(expected, verdict.Install);
        Assert.Equal(25, verdict.All[2].Acceptance);
    }

    [Theory]
    [InlineData(1.60, null)]
    [InlineData(1.20, DraftMeasurement.Draft)]
    public void A_draft_that_is_installed_stays_unless_the_new_one_is_faster(double installed, string? expected) => Assert.Equal(
        expected,
        DraftMeasurement.Judge([
            Set(DraftMeasurement.Alone, 1), Set(DraftMeasurement.Installed, installed), Set(DraftMeasurement.Ngram, 1),
            Set(DraftMeasurement.Draft, 1.5)]).Install);

    [Theory]
    [InlineData(1.5, 1.5, 1.5, 0.9, DraftMeasurement.Draft)]
    [InlineData(2.5, 1.5, 0.9, 0.9, null)]
    public void It_must_be_faster_on_three_of_four_prompts(double first, double second, double third, double fourth, string? expected) =>
        Assert.Equal(expected, DraftMeasurement.Judge([
            Set(DraftMeasurement.Alone, 1), Set(DraftMeasurement.Ngram, 1),
            Set(DraftMeasurement.Draft, 1.2, byPrompt: [first, second, third, fourth])]).Install);

    [Fact]
    public void Where_the_draft_adds_nothing_the_n_gram_alone_is_installed() => Assert.Equal(
        DraftMeasurement.Ngram,
        DraftMeasurement.Judge([
            Set(DraftMeasurement.Alone, 1), Set(DraftMeasurement.Ngram, 1.3), Set(DraftMeasurement.Draft, 1.31)]).Install);

    [Fact]
    public void What_changes_the_text_is_not_installed() => Assert.Null(DraftMeasurement.Judge(
        [Set(DraftMeasurement.Alone, 1), Set(DraftMeasurement.Ngram, 1), Set(DraftMeasurement.Draft, 2, equal: false)]).Install);
}
