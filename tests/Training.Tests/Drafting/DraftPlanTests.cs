using Understory.Training.Drafting;
using Understory.Training.Network;

namespace Understory.Training.Tests.Drafting;

public class DraftPlanTests
{
    private static readonly DraftRates _rates = new(Score: 10_000, Write: 500, TrainF32: 2_000, TrainBf16: 5_000);

    private static DraftPlan Plan(double minutes, int given = 0) => DraftPlan.Make(
        new DraftRequest("/model", [], minutes, null, 1), _rates, LlamaShapeOf(128), 256, 64, given);

    private static LlamaShape LlamaShapeOf(int hidden) => new(4096, hidden, 2, 4, 2, 256, 1024);

    [Fact]
    public void Collecting_and_training_take_their_share_of_the_time()
    {
        DraftPlan plan = Plan(minutes: 60);
        double seconds = (plan.Written * 256 / _rates.Write) + (plan.Steps * plan.BatchTokens / _rates.Train);
        Assert.InRange(seconds, 0.68 * 3600, 0.73 * 3600);
        Assert.True(plan.Bf16);
        Assert.Equal(0, plan.Written % TargetReader.SideBySide);
        Assert.InRange(plan.CountingSeconds + plan.MeasuringSeconds, 0.25 * 3600, 0.3 * 3600);
    }

    [Fact]
    public void The_user_s_texts_come_first_and_the_target_writes_the_rest()
    {
        DraftPlan some = Plan(minutes: 60, given: 1000);
        Assert.Equal(1000, some.Given);
        Assert.InRange(some.Written, 1, Plan(minutes: 60).Written - 1);
        DraftPlan many = Plan(minutes: 1, given: 1_000_000);
        Assert.InRange(many.Given, 1, 999_999);
        Assert.InRange(many.Written, 0, TargetReader.SideBySide);
    }

    [Fact]
    public void However_few_minutes_there_is_something_to_train_on()
    {
        DraftPlan plan = Plan(minutes: 0.1);
        Assert.True(plan.Written > 0 && plan.Steps > 0);
    }

    [Theory]
    [InlineData(100_000_000, 49152)]
    [InlineData(5_500_000, 4096)]
    [InlineData(4_000_000_000, 151_936)]
    [InlineData(1000, 4096)]
    public void A_draft_reads_a_twelfth_of_the_target_at_most_or_is_the_smallest(long bytes, int vocabulary)
    {
        LlamaShape shape = DraftPlan.ShapeFor(bytes, vocabulary, 1024, 34.0 / 32).Validated();
        Assert.True(shape.Hidden == 64 || shape.Parameters * 34.0 / 32 * 12 <= bytes);
        LlamaShape smaller = DraftPlan.ShapeFor(bytes / 4, vocabulary, 1024, 34.0 / 32);
        Assert.True(smaller.Parameters <= shape.Parameters);
    }

    [Fact]
    public void Pieces_of_texts_cover_them_and_some_are_never_trained_on()
    {
        List<int[]> pieces = [.. Enumerable.Range(0, 64).Select(number => (int[])[number])];
        (List<int[]> training, List<int[]> heldOut) = UserTexts.Parted(pieces);
        Assert.Equal(4, heldOut.Count);
        Assert.Equal(pieces.Select(piece => piece[0]), training.Concat(heldOut).Select(piece => piece[0]).Order());
        Assert.Empty(UserTexts.Parted([[1]]).HeldOut);
        Assert.Single(UserTexts.Parted([[1], [2], [3]]).HeldOut);
    }

    [Fact]
    public void What_is_no_text_is_left_out_and_named_and_texts_that_are_too_short_are_not_passed_over_in_silence()
    {
        using var folder = new TemporaryFolder();
        using var target = new TinyTarget(folder: false);
        Directory.CreateDirectory(folder[".git"]);
        File.WriteAllText(folder[".git/hidden.txt"], "hidden");
        File.WriteAllText(folder["a.txt"], "abc");
        File.WriteAllBytes(folder["b.bin"], [0x61, 0, 0x62]);
        File.WriteAllBytes(folder["c.txt"], [0x61, 0xe9, 0x62]);
        IReadOnlyList<string> files = UserTexts.Files([folder.Path]);
        Assert.Equal(["a.txt", "b.bin", "c.txt"], files.Select(Path.GetFileName));
        var said = new List<string>();
        Assert.Empty(UserTexts.Pieces(files, target.Model, 16, said.Add));
        Assert.Equal(
            [
                "Left out, since they are no texts in UTF-8: b.bin, c.txt",
                "Your texts are 3 tokens, less than a sample of 16: they are not used.",
            ],
            said);
        File.WriteAllText(folder["a.txt"], new string('z', 40));
        Assert.Equal(2, UserTexts.Pieces(files, target.Model, 16, _ => { }).Count);
    }

    [Fact]
    public void What_is_asked_for_otherwise_is_named_with_both_values()
    {
        var request = new DraftRequest("/model", ["a (3 bytes)"], 60, null, 1, "0a", "");
        Assert.Equal("", request.Differences(request with { Texts = ["a (3 bytes)"] }));
        Assert.Equal("the target's files was 0b, now 0a; --minutes was 7.5, now 60; --from was /small, now not given",
            request.Differences(request with { TargetState = "0b", Minutes = 7.5, From = "/small" }));
    }

    [Fact]
    public void What_is_written_for_measuring_alone_is_part_of_the_time()
    {
        // Sixteen samples of 256 tokens at 500 a second.
        Assert.True(Plan(minutes: 1).Written < DraftPlan.Make(
            new DraftRequest("/model", [], 1, null, 1), _rates with { Write = 5_000 }, LlamaShapeOf(128), 256, 64, 0).Written);
        Assert.Equal(TargetReader.SideBySide, Plan(minutes: 0.2).Written);
    }

    [Fact]
    public void Texts_that_are_not_there_are_named() =>
        Assert.Contains("/no/such", Assert.Throws<TrainingException>(() => UserTexts.Files(["/no/such"])).Message);
}
