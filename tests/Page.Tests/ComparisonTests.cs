namespace Understory.Page.Tests;

/// <summary>When the page says that one mode is faster than another, and when not.</summary>
[Collection(BrowserGroup.Name)]
public sealed class ComparisonTests(PageBrowser browser)
{
    /// <summary>A comparison of runs that had these speeds, pair by pair, as the page's own code judges it.</summary>
    private async Task<Judged> JudgeAsync(params (double Mine, double Other)[] pairs)
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        return await visit.Page.EvaluateAsync<Judged>(
            """
            async (pairs) => {
              const { Comparison } = await import(new URL("page/comparison.js", document.baseURI));
              const comparison = new Comparison("text");
              const turns = [];
              for (let i = 0; i < 2 * pairs.length; i++) {
                const { turn } = comparison;
                turns.push(turn);
                comparison.add({ text: "text", tokenCount: 100, guesses: 5, speed: pairs[i >> 1][turn] });
              }
              const { ratio, low, high, sure } = comparison.speed(0);
              return { ratio, low, high, sure, turns: turns.join(""), enough: comparison.enough, timed: comparison.timed };
            }
            """,
            pairs.Select(pair => new[] { pair.Mine, pair.Other }).ToArray());
    }

    [BrowserFact]
    public async Task What_every_pair_shows_is_said_with_its_band()
    {
        Judged judged = await JudgeAsync((140, 100), (150, 100), (131, 100));
        Assert.Equal((1.4, 1.31, 1.5, true, true), (judged.Ratio, judged.Low, judged.High, judged.Sure, judged.Timed));
    }

    [BrowserFact]
    public async Task Neither_mode_always_begins()
    {
        Judged judged = await JudgeAsync((1, 1), (1, 1), (1, 1));
        Assert.Equal("011001", judged.Turns);
    }

    [BrowserFact]
    public async Task A_pair_that_disagrees_makes_it_noise()
    {
        Assert.False((await JudgeAsync((140, 100), (150, 100), (99, 100))).Sure);
        Assert.False((await JudgeAsync((140, 100), (150, 100), (140, 100), (140, 100), (99, 100))).Sure);
    }

    [BrowserFact]
    public async Task A_few_pairs_that_agree_while_the_machine_drifts_are_noise_and_more_are_not()
    {
        (double, double)[] drifting = [(110, 100), (220, 200), (111, 100)];
        Assert.False((await JudgeAsync(drifting)).Sure);
        Assert.True((await JudgeAsync([.. drifting, (220, 200), (109, 100)])).Sure);
    }

    [BrowserFact]
    public async Task What_nobody_would_notice_is_no_difference() =>
        Assert.False((await JudgeAsync((101, 100), (101, 100), (101, 100))).Sure);

    [BrowserFact]
    public async Task Seven_rounds_are_enough_and_two_say_nothing()
    {
        Assert.True((await JudgeAsync([.. Enumerable.Repeat((2.0, 1.0), 7)])).Enough);
        Judged early = await JudgeAsync((2, 1), (2, 1));
        Assert.Equal((false, false), (early.Enough, early.Timed));
    }

    [BrowserFact]
    public async Task One_text_that_differs_is_told()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        string told = await visit.Page.EvaluateAsync<string>(
            """
            async () => {
              const { Comparison } = await import(new URL("page/comparison.js", document.baseURI));
              const comparison = new Comparison("the same");
              for (const text of ["the same", "the same", "the sane", "the same"])
                comparison.add({ text, tokenCount: 100, guesses: 5, speed: 1 });
              return JSON.stringify(comparison.bytes);
            }
            """);
        Assert.Equal("{\"same\":false,\"common\":6}", told);
    }

    private sealed class Judged
    {
        public double Ratio { get; set; }

        public double Low { get; set; }

        public double High { get; set; }

        public bool Sure { get; set; }

        public bool Enough { get; set; }

        public bool Timed { get; set; }

        public string Turns { get; set; } = "";
    }
}
