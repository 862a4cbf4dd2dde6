using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.Playwright;
using Understory.Server.Hosting;

namespace Understory.Page.Tests;

/// <summary>The page with a model behind it, in a real browser.</summary>
[Collection(BrowserGroup.Name)]
public sealed class DemoPageTests(PageBrowser browser)
{
    private const string Prompt = "class Stack:\n    def __init__(self):";

    [BrowserFact]
    public async Task The_tinted_tokens_are_the_text_that_the_API_gives_for_the_same_seed()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        foreach ((string mode, string temperature) in new[] { ("staged", "1.2"), ("ngram", "0"), ("off", "1.9") })
        {
            await visit.ModeAsync(mode);
            await visit.FillAsync(("prompt", Prompt), ("max_tokens", "150"), ("temperature", temperature), ("seed", "11"),
                ("stop", "zq\nxyz"));
            await visit.RunAsync();
            JsonNode plain = await CompleteAsync(new
            {
                prompt = Prompt,
                max_tokens = 150,
                temperature = double.Parse(temperature),
                seed = 11,
                stop = new[] { "zq", "xyz" },
            });
            string text = (string)plain["choices"]![0]!["text"]!;
            Assert.NotEmpty(text);
            Assert.Equal(text, await visit.Texts.TextContentAsync());
            Assert.Equal(text,
                string.Concat(await visit.Page.Locator(".text .token")
                    .EvaluateAllAsync<string[]>("all => all.map(token => token.textContent)")));
            Assert.Equal(((int)plain["usage"]!["completion_tokens"]!)
                .ToString(), await visit.Page.Locator(".figures dd").First.TextContentAsync());
            Assert.Equal(mode != "off", await visit.Page.Locator(".text .token.ngram, .text .token.draft").CountAsync() > 0);
        }
    }

    [BrowserFact]
    public async Task The_other_mode_beside_the_first_shows_the_same_bytes_and_the_ratio_of_speeds()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        await visit.ModeAsync("staged");
        await visit.FillAsync(("prompt", Prompt), ("max_tokens", "120"), ("temperature", "0.9"), ("seed", ""));
        await visit.RunAsync();
        await visit.CompareAsync("off");
        string[] texts = [.. await visit.Texts.AllTextContentsAsync()];
        Assert.Equal(2, texts.Length);
        Assert.Equal(texts[0], texts[1]);
        Assert.NotEmpty(texts[0]);
        Assert.Equal(["staged", "off"], await visit.Page.Locator(".run .mode").AllTextContentsAsync());
        string headline = (await visit.Page.Locator("#verdict .headline").TextContentAsync())!;
        Assert.Matches(
            "^Same bytes, (no difference beyond the noise|same work|[0-9.]+ × (faster|slower) \\([0-9.]+ to [0-9.]+\\))$", headline);
        string note = (await visit.Page.Locator("#verdict .note").TextContentAsync())!;
        string bytes = Encoding.UTF8.GetByteCount(texts[0]).ToString(CultureInfo.InvariantCulture);
        Match rounds = Regex.Match(note, $"medians of ([3-7]) runs each, in turn.*; {bytes} bytes compared in each of ([0-9]+) texts");
        Assert.True(rounds.Success, note);
        Assert.Equal(2 * int.Parse(rounds.Groups[1].Value), int.Parse(rounds.Groups[2].Value));

        // What is said about speed is what the cards say, and the ratio lies within its band.
        string[] speeds = [.. await visit.Page.Locator(".speed").AllTextContentsAsync()];
        Assert.Contains($"{speeds[0]} and {speeds[1]} tokens per second", note);
        if (Regex.Match(headline, "([0-9.]+) × .*\\(([0-9.]+) to ([0-9.]+)\\)") is { Success: true } told)
        {
            double[] ratio = [.. told.Groups.Values.Skip(1).Select(group => double.Parse(group.Value, CultureInfo.InvariantCulture))];
            Assert.InRange(ratio[0], ratio[1], ratio[2]);
            Assert.True(ratio[1] >= 1);
        }
    }

    [BrowserFact]
    public async Task The_tree_of_a_chosen_token_shows_its_pass_with_the_accepted_path()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        await visit.ModeAsync("staged");
        await visit.FillAsync(("prompt", Prompt), ("max_tokens", "80"), ("temperature", "0"), ("speculation_nodes", "12"));
        await visit.RunAsync();
        await visit.Page.Locator(".text .token.ngram").Last.ClickAsync();
        Assert.Contains("proposed by the n-gram", await visit.Page.Locator("#tree-detail").TextContentAsync());

        // The root, the accepted path and the target's own token are the text up to there, and the marked tokens are that path.
        string[] path = await visit.Page.Locator(".tree .node.kept:not(.root)")
            .EvaluateAllAsync<string[]>("all => all.map(node => node.querySelector('.label').textContent)");
        string[] marked = await visit.Page.Locator(".text .token.marked").EvaluateAllAsync<string[]>(
            "all => all.map(token => token.textContent.replaceAll('\\n', '↵').replaceAll(' ', '␣'))");
        Assert.True(marked.Length > 1);
        Assert.Equal(path.Where(label => !label.EndsWith('…')).Take(marked.Length), marked.Zip(path)
            .Where(pair => !pair.Second.EndsWith('…')).Select(pair => pair.First));
        int nodes = await visit.Page.Locator(".tree .node.guess").CountAsync();
        Assert.Contains($"of {nodes} guesses kept", await visit.Page.Locator("#tree-sum").TextContentAsync());
        Assert.All(await visit.Page.Locator(".tree .node.guess .a").AllTextContentsAsync(), a => Assert.Matches("^\\d+%$", a));
    }

    [BrowserFact]
    public async Task The_keyboard_alone_runs_compares_and_walks_through_tokens_and_tree()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        IKeyboard keys = visit.Page.Keyboard;
        await keys.PressAsync("Tab");
        Assert.Equal("skip", await FocusAsync("className"));
        await keys.PressAsync("Enter");
        await keys.PressAsync("Tab");
        for (int i = 0; i < 40 && await FocusAsync("id") != "prompt"; i++)
        {
            await keys.PressAsync("Shift+Tab");
        }

        Assert.Equal("prompt", await FocusAsync("id"));
        await keys.PressAsync("Control+A");
        await keys.TypeAsync("def add(a, b):");
        await keys.PressAsync("Tab");
        Assert.Equal("auto", await FocusAsync("value"));
        await keys.PressAsync("ArrowLeft");
        Assert.Equal("staged", await FocusAsync("value"));
        await keys.PressAsync("Control+Enter");
        await visit.UntilAsync("document.querySelector('.run')?.dataset.state === 'done'");

        await TabToAsync("element => element.id === 'compare'");
        await keys.PressAsync("Enter");
        await visit.UntilAsync("document.getElementById('form').getAttribute('aria-busy') === 'true'");
        await visit.IdleAsync();
        Assert.StartsWith("Same bytes, ", await visit.Page.Locator("#verdict .headline").TextContentAsync());
        await TabToAsync("element => element.className.includes('text')");
        await keys.PressAsync("Home");
        await keys.PressAsync("ArrowRight");
        Assert.Contains("pass", await visit.Page.Locator("#tree-detail").TextContentAsync());
        await TabToAsync("element => element.getAttribute('role') === 'treeitem'");
        await keys.PressAsync("ArrowRight");
        Assert.Equal("2", await visit.Page.EvaluateAsync<string>("document.activeElement.getAttribute('aria-level')"));

        Task<string> FocusAsync(string property) => visit.Page.EvaluateAsync<string>($"document.activeElement.{property}");

        async Task TabToAsync(string wanted)
        {
            for (int i = 0; i < 60; i++)
            {
                await keys.PressAsync("Tab");
                if (await visit.Page.EvaluateAsync<bool>($"({wanted})(document.activeElement)"))
                {
                    return;
                }
            }

            Assert.Fail($"Tab never comes to {wanted}.");
        }
    }

    [BrowserFact]
    public async Task A_refused_field_is_named_marked_and_focused()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        visit.Expected.Add("Failed to load resource: the server responded with a status of 400");
        await visit.FillAsync(("temperature", "5"));
        await visit.RunAsync();
        Assert.Contains("temperature", await visit.Problem.TextContentAsync());
        Assert.Equal("alert", await visit.Problem.GetAttributeAsync("role"));
        Assert.Equal("temperature", await visit.Page.EvaluateAsync<string>("document.activeElement.id"));
        Assert.Equal("true", await visit.Page.GetAttributeAsync("#temperature", "aria-invalid"));
        await visit.FillAsync(("temperature", "0"), ("max_tokens", "8"));
        await visit.RunAsync();
        Assert.False(await visit.Problem.IsVisibleAsync());
        Assert.Null(await visit.Page.GetAttributeAsync("#temperature", "aria-invalid"));
    }

    [BrowserFact]
    public async Task A_narrow_screen_shows_everything_without_scrolling_sideways()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo, width: 360);
        await visit.FillAsync(("prompt", Prompt + "\n# " + new string('x', 120)), ("max_tokens", "60"), ("speculation_nodes", "20"));
        await visit.ModeAsync("staged");
        await visit.RunAsync();
        await visit.CompareAsync("off");
        await visit.Page.Locator("#curl-box summary").ClickAsync();
        Assert.Equal(360, await visit.Page.EvaluateAsync<int>("document.documentElement.scrollWidth"));
        string[] outside = await visit.Page.Locator("button:visible, input:visible:not([type=radio]), textarea:visible, select:visible, "
            + "h2:visible, .verdict, .run").EvaluateAllAsync<string[]>(
            "all => all.filter(e => { const r = e.getBoundingClientRect(); return r.left < 0 || r.right > 360; }).map(e => "
                + "e.outerHTML.slice(0, 80))");
        Assert.Empty(outside);
    }

    [BrowserTheory]
    [InlineData(1280, 720, false)]
    [InlineData(1280, 720, true)]
    [InlineData(820, 720, true)]
    [InlineData(380, 720, false)]
    [InlineData(380, 720, true)]
    public async Task Results_errors_and_the_newest_turn_come_into_sight(int width, int height, bool more)
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo, width, height: height);
        visit.Expected.Add("Failed to load resource: the server responded with a status of 400");
        await visit.FillAsync(("prompt", Prompt), ("max_tokens", "60"), ("temperature", "0"));
        await visit.Page.Locator("details.more").First.EvaluateAsync("(details, open) => details.open = open", more);
        await visit.RunAsync();
        Assert.True(await visit.InSightAsync(".run .speed"), "the result");
        await visit.CompareAsync("off");
        Assert.True(await visit.InSightAsync("#verdict .headline"), "the verdict");

        await visit.Page.FillAsync("#temperature", "7");
        await visit.RunAsync();
        Assert.True(await visit.InSightAsync("#temperature"), "the field to blame");
        Assert.True(await visit.InSightAsync("#blame"), "what is wrong with it");
        await visit.Page.FillAsync("#temperature", "1");

        await visit.ChatAsync();
        for (int turn = 1; turn <= 4; turn++)
        {
            await visit.Page.FillAsync("#prompt", $"This is message number {turn}.");
            await visit.RunAsync();
            Assert.True(await visit.InSightAsync("#turns li:last-child"), $"the newest turn, {turn}");
            Assert.True(await visit.InSightAsync("#prompt"), "the place of the next one");
        }
    }

    [BrowserFact]
    public async Task The_head_says_what_runs_and_where_to_get_more()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        await visit.UntilAsync("!document.getElementById('demo').hidden");
        Assert.Equal("2.76 million parameters", await visit.Page.TextContentAsync("#model-size"));
        Assert.Equal("completes text", await visit.Page.TextContentAsync("#model-abilities"));
        Assert.Equal(ModelIntroduction.Demo, await visit.Page.TextContentAsync("#demo-about"));
        string[] commands = [.. SuggestedModel.For(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes).Select(model => model.Command)];
        Assert.Equal(commands, await visit.Page.Locator("#demo-models code").AllTextContentsAsync());
        Assert.True(await visit.Page.IsCheckedAsync("input[value=completion]"));
    }

    [BrowserFact]
    public async Task A_conversation_goes_on_and_can_be_cleared()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        await visit.ChatAsync();
        for (int turn = 1; turn <= 2; turn++)
        {
            await visit.FillAsync(("prompt", $"Say {turn}."), ("max_tokens", "12"), ("temperature", "0.8"), ("seed", "3"));
            await visit.RunAsync();
            await visit.Page.Locator("#turns li").Nth((2 * turn) - 1).WaitForAsync();
        }

        Assert.Equal(["Say 1.", "Say 2."], await visit.Page.Locator("#turns .user p").AllTextContentsAsync());
        Assert.Equal(await visit.Texts.TextContentAsync(), await visit.Page.Locator("#turns .assistant p").Last.TextContentAsync());
        await visit.Page.ClickAsync("#clear-chat");
        Assert.Equal(0, await visit.Page.Locator("#turns li").CountAsync());
    }

    [BrowserFact]
    public async Task Settings_and_theme_are_remembered()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        await visit.FillAsync(("max_tokens", "33"), ("stop", "a\nb"));
        await visit.ModeAsync("draft");
        await visit.Page.ClickAsync("#theme");
        await visit.Page.ReloadAsync();
        Assert.Equal("33", await visit.Page.InputValueAsync("#max_tokens"));
        Assert.Equal("a\nb", await visit.Page.InputValueAsync("#stop"));
        Assert.True(await visit.Page.IsCheckedAsync("input[value=draft]"));
        Assert.Equal("dark", await visit.Page.EvaluateAsync<string>("document.documentElement.dataset.theme"));
        Assert.Equal("true", await visit.Page.GetAttributeAsync("#theme", "aria-pressed"));
    }

    [BrowserCurlFact]
    public async Task The_curl_command_gives_the_same_text()
    {
        await using Visit visit = await browser.VisitAsync(browser.Demo);
        await visit.FillAsync(("prompt", "# it's \"quoted\" $HOME `x` \\ é😀\ndef f():"), ("max_tokens", "20"), ("temperature", "1"),
            ("seed", "18446744073709551615"));
        await visit.RunAsync();
        var start = new ProcessStartInfo("sh", ["-s"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        using Process shell = Process.Start(start)!;
        await shell.StandardInput.WriteAsync(await visit.Page.Locator("#curl").TextContentAsync());
        shell.StandardInput.Close();
        string output = await shell.StandardOutput.ReadToEndAsync();
        string text = string.Concat(output.Split('\n').Where(line => line.StartsWith("data: {", StringComparison.Ordinal))
            .Select(line => (string)JsonNode.Parse(line["data: ".Length..])!["choices"]![0]!["text"]!));
        Assert.NotEmpty(text);
        Assert.Equal(text, await visit.Texts.TextContentAsync());
    }

    [AxeFact]
    public async Task Axe_finds_nothing_in_either_theme_mode_or_width()
    {
        foreach ((int width, ColorScheme scheme) in new[]
        {
            (1280, ColorScheme.Light), (1280, ColorScheme.Dark), (820, ColorScheme.Light), (380, ColorScheme.Light),
        })
        {
            await using Visit visit = await browser.VisitAsync(browser.Demo, width, scheme);
            await visit.FillAsync(("prompt", Prompt), ("max_tokens", "60"), ("speculation_nodes", "16"));
            await visit.ModeAsync("staged");
            await visit.RunAsync();
            await visit.CompareAsync("off");
            await visit.Page.Locator("#curl-box summary").ClickAsync();
            await visit.Page.Locator("#demo-more summary").ClickAsync();
            Assert.Empty(await AxeAsync(visit.Page));
            await visit.ChatAsync();
            await visit.FillAsync(("prompt", "Hello"), ("max_tokens", "12"));
            await visit.RunAsync();
            Assert.Empty(await AxeAsync(visit.Page));
        }
    }

    private static async Task<string[]> AxeAsync(IPage page)
    {
        await page.EvaluateAsync(await File.ReadAllTextAsync(AxeFactAttribute.Script));
        return await page.EvaluateAsync<string[]>(
            "async () => (await axe.run()).violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html.slice(0, "
                + "120)).join(' | ')}`)");
    }

    private async Task<JsonNode> CompleteAsync(object request)
    {
        using var client = new HttpClient { BaseAddress = browser.Demo };
        using HttpResponseMessage response = await client.PostAsJsonAsync("/v1/completions", request);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!;
    }
}
