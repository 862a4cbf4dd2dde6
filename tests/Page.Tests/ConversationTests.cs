using System.Text.Json.Nodes;
using Microsoft.Playwright;
using Understory.Server.Hosting;

namespace Understory.Page.Tests;

/// <summary>A conversation on the page; the test decides what the model says.</summary>
[Collection(BrowserGroup.Name)]
public sealed class ConversationTests(PageBrowser browser)
{
    private const string Template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:";

    private static Task<ScriptedServer> ChatModelAsync(int context = 256) => ScriptedServer.StartAsync(
        model: ScriptedServer.Model() with { Chat = ScriptedServer.Renderer(Template), Context = context });

    private static async Task<string> AnswerAsync(ScriptedServer server, string text)
    {
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, text);
        string prompt = ScriptedServer.PromptOf(job);
        server.Finish(job);
        return prompt;
    }

    private static async Task<string> TurnAsync(ScriptedServer server, Visit visit, string question, string answer)
    {
        await visit.Page.FillAsync("#prompt", question);
        await visit.Page.Keyboard.PressAsync("Enter");
        string prompt = await AnswerAsync(server, answer);
        await visit.IdleAsync();
        return prompt;
    }

    [BrowserFact]
    public async Task A_chat_model_opens_the_chat_and_only_what_was_filled_in_is_sent()
    {
        await using ScriptedServer server = await ChatModelAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        Assert.True(await visit.Page.IsCheckedAsync("input[value=chat]"));
        Assert.Equal("chats", await visit.Page.TextContentAsync("#model-abilities"));
        Assert.True(await visit.Page.Locator("#demo").IsHiddenAsync());
        Assert.Equal("", await visit.Page.InputValueAsync("#prompt"));
        IRequest? sent = null;
        visit.Page.Request += (_, request) => sent = request.Url.EndsWith("chat/completions", StringComparison.Ordinal) ? request : sent;
        await TurnAsync(server, visit, "Hello", "Hi.");
        JsonObject body = JsonNode.Parse(sent!.PostData!)!.AsObject();
        Assert.Equal(
            ["messages", "seed", "speculation", "speculation_events", "stream"],
            body.Select(pair => pair.Key).Order(StringComparer.Ordinal));

        // A visitor's own choice of tab stays.
        await visit.Page.Locator("#kind").GetByText("Prompt", new() { Exact = true }).ClickAsync();
        await visit.Page.ReloadAsync();
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        Assert.True(await visit.Page.IsCheckedAsync("input[value=completion]"));
    }

    [BrowserFact]
    public async Task Enter_sends_and_Shift_Enter_begins_a_line()
    {
        await using ScriptedServer server = await ChatModelAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        await visit.Page.FocusAsync("#prompt");
        // Nothing is no message.
        await visit.Page.Keyboard.PressAsync("Enter");
        await visit.Page.Keyboard.TypeAsync("one");
        await visit.Page.Keyboard.PressAsync("Shift+Enter");
        await visit.Page.Keyboard.TypeAsync("two");
        await visit.Page.Keyboard.PressAsync("Enter");
        Assert.Contains("user: one\ntwo\n", await AnswerAsync(server, "fine"));
        await visit.IdleAsync();
        Assert.Equal("", await visit.Page.InputValueAsync("#prompt"));
        Assert.Equal("prompt", await visit.Page.EvaluateAsync<string>("document.activeElement.id"));

        // In a prompt, Enter is a line as any other.
        await visit.Page.Locator("#kind").GetByText("Prompt", new() { Exact = true }).ClickAsync();
        await visit.Page.FillAsync("#prompt", "a");
        await visit.Page.FocusAsync("#prompt");
        await visit.Page.Keyboard.PressAsync("End");
        await visit.Page.Keyboard.PressAsync("Enter");
        Assert.Equal("a\n", await visit.Page.InputValueAsync("#prompt"));
        Assert.Equal(0, server.App.Queue.Depth);
    }

    [BrowserFact]
    public async Task A_conversation_longer_than_the_context_leaves_out_its_oldest_turns_in_large_steps_and_says_so()
    {
        const int Turns = 24;
        await using ScriptedServer server = await ChatModelAsync(context: 256);
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        var firsts = new List<string>();
        for (int turn = 1; turn <= Turns; turn++)
        {
            string prompt = await TurnAsync(server, visit, $"Question {turn}.", $"Answer {turn}.");
            Assert.EndsWith($"user: Question {turn}.\nassistant:", prompt);
            firsts.Add(prompt.Split('\n')[0]);
            // A quarter is kept for the answer.
            Assert.InRange(server.App.Decoding.Model.Tokenizer.Encode(prompt).Length, 1, 256 * 3 / 4);
        }

        Assert.Equal("user: Question 1.", firsts[0]);
        Assert.NotEqual("user: Question 1.", firsts[^1]);
        // What is left out changes seldom, so that the prompt before a question mostly is the last one, which is cached.
        Assert.InRange(firsts.Distinct().Count(), 2, Turns / 4);
        Assert.Contains("left out", await visit.Page.Locator("#turns .note").TextContentAsync());
        Assert.Equal(Turns, await visit.Page.Locator("#turns .user").CountAsync());
        Assert.Equal(
            firsts[^1], "user: " + await visit.Page.Locator("#turns .user:not(.out) p").First.TextContentAsync());
    }

    [BrowserFact]
    public async Task Where_the_server_counts_more_tokens_the_oldest_turns_are_left_out_and_it_is_asked_again()
    {
        await using ScriptedServer server = await ChatModelAsync(context: 256);
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        visit.Expected.Add("Failed to load resource: the server responded with a status of 400");
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        await TurnAsync(server, visit, "Question 1. " + Text(100), "Answer 1.");
        await TurnAsync(server, visit, "Question 2.", "Answer 2.");
        // A system text of which the conversation has not heard yet.
        await visit.Page.FillAsync("#system", Text(140));
        string prompt = await TurnAsync(server, visit, "Question 3.", "Answer 3.");
        Assert.DoesNotContain("Question 1.", prompt);
        Assert.Contains("Question 3.", prompt);
        Assert.False(await visit.Problem.IsVisibleAsync());

        string Text(int tokens) => string.Join(' ', Enumerable.Range(0, tokens).TakeWhile(number =>
            server.App.Decoding.Model.Tokenizer.Encode(string.Join(' ', Enumerable.Range(0, number))).Length < tokens));
    }

    [BrowserFact]
    public async Task A_stopped_answer_joins_the_conversation_and_a_reload_keeps_it()
    {
        await using ScriptedServer server = await ChatModelAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        await visit.Page.FillAsync("#prompt", "Count.");
        await visit.Page.Keyboard.PressAsync("Enter");
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "One, two");
        await visit.UntilAsync("document.querySelector('#turns .assistant p')?.textContent === 'One, two'");
        await visit.Page.ClickAsync("#stop-run");
        await server.AbandonAsync(job);
        await visit.IdleAsync();
        await visit.Page.ReloadAsync();
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        Assert.Equal(["Count.", "One, two"], await visit.Page.Locator("#turns p").AllTextContentsAsync());
        string prompt = await TurnAsync(server, visit, "Go on.", "three");
        Assert.Equal("user: Count.\nassistant: One, two\nuser: Go on.\nassistant:", prompt);
    }

    [BrowserFact]
    public async Task A_question_without_an_answer_comes_back_to_be_put_again()
    {
        ScriptedServer server = await ChatModelAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address, width: 380, height: 720);
        // A server that stops says so before it is gone.
        visit.Expected.Add("Failed to load resource: the server responded with a status of 503");
        visit.Expected.Add("Failed to load resource: net::ERR_");
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        await TurnAsync(server, visit, "Hello", "Hi.");
        await server.DisposeAsync();
        await visit.Page.FillAsync("#prompt", "Are you there?");
        await visit.Page.Keyboard.PressAsync("Enter");
        await visit.UntilAsync("/Connection lost/.test(document.getElementById('problem').textContent)");
        await visit.IdleAsync();
        Assert.Equal("Are you there?", await visit.Page.InputValueAsync("#prompt"));
        Assert.Equal(["Hello", "Hi."], await visit.Page.Locator("#turns p").AllTextContentsAsync());
        Assert.True(await visit.InSightAsync("#problem"));
    }
}
