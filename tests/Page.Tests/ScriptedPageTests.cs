using Understory.Server.Hosting;

namespace Understory.Page.Tests;

/// <summary>What the page does when things do not go smoothly; the test decides what the decoding thread does.</summary>
[Collection(BrowserGroup.Name)]
public sealed class ScriptedPageTests(PageBrowser browser)
{
    [BrowserFact]
    public async Task Stop_ends_the_request_and_keeps_the_text()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.Page.ClickAsync("#run");
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "one ");
        ScriptedServer.Say(job, "two");
        await visit.UntilAsync("document.querySelector('.text')?.textContent === 'one two'");
        Assert.False(job.Ended);
        await visit.Page.ClickAsync("#stop-run");
        await server.AbandonAsync(job);
        await visit.IdleAsync();
        Assert.Equal("one two", await visit.Texts.TextContentAsync());
        Assert.Equal("stopped by you", await visit.Page.Locator(".run .state").TextContentAsync());
        Assert.Contains("Stopped", await visit.Page.Locator("#say").TextContentAsync());
        Assert.False(await visit.Problem.IsVisibleAsync());
    }

    [BrowserFact]
    public async Task Text_of_a_model_is_text_whatever_it_looks_like()
    {
        const string Hostile = "<img src=x onerror=alert(1)><script>document.title='x'</script>&amp;";
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.Page.ClickAsync("#run");
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, Hostile);
        server.Finish(job);
        await visit.IdleAsync();
        Assert.Equal(Hostile, await visit.Texts.TextContentAsync());
        Assert.Equal("Understory", await visit.Page.TitleAsync());
    }

    [BrowserFact]
    public async Task A_full_queue_counts_down_and_tries_again()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 1 });
        Task<HttpResponseMessage> first = server.PostAsync("/v1/completions", "{\"prompt\": [1]}");
        GenerationJob running = await server.TakeAsync();
        Task<HttpResponseMessage> second = server.PostAsync("/v1/completions", "{\"prompt\": [1]}");
        await ScriptedServer.UntilAsync(() => server.App.Queue.Depth == 1);
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        visit.Expected.Add("Failed to load resource: the server responded with a status of 429");
        await visit.Page.ClickAsync("#run");
        await visit.UntilAsync("/queue is full[^]*Trying again in \\d+ s/.test(document.getElementById('problem').textContent)");

        server.Finish(running);
        server.Finish(await server.TakeAsync());
        await first;
        await second;
        GenerationJob own = await server.TakeAsync();
        own.Send(new PromptRead(0, 0));
        ScriptedServer.Say(own, "at last");
        server.Finish(own);
        await visit.IdleAsync();
        Assert.Equal("at last", await visit.Texts.TextContentAsync());
        Assert.False(await visit.Problem.IsVisibleAsync());
    }

    [BrowserFact]
    public async Task While_the_server_loads_its_stage_is_shown_and_the_request_waits()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(ready: false);
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        visit.Expected.Add("Failed to load resource: the server responded with a status of 503");
        await visit.UntilAsync("/^loading: /.test(document.getElementById('server-state').textContent)");
        await visit.Page.ClickAsync("#run");
        await visit.UntilAsync("/server is loading/.test(document.getElementById('problem').textContent)");
        server.App.Decoding.Announce(ScriptedServer.Model());
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "ready now");
        server.Finish(job);
        await visit.IdleAsync();
        Assert.Equal("ready now", await visit.Texts.TextContentAsync());
        await visit.UntilAsync("document.getElementById('server-state').textContent === 'ready'");
    }

    [BrowserFact]
    public async Task A_broken_connection_is_told_and_the_text_stays()
    {
        ScriptedServer server = await ScriptedServer.StartAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        // A server that stops says so before it is gone.
        visit.Expected.Add("Failed to load resource: the server responded with a status of 503");
        visit.Expected.Add("Failed to load resource: net::ERR_");
        await visit.Page.ClickAsync("#run");
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "half an ans");
        await visit.UntilAsync("document.querySelector('.text')?.textContent === 'half an ans'");
        job.End(new InvalidOperationException("The test breaks it."));
        await visit.IdleAsync();
        Assert.Contains("server", await visit.Problem.TextContentAsync());
        Assert.Equal("half an ans", await visit.Texts.TextContentAsync());
        Assert.Equal("broken off", await visit.Page.Locator(".run .state").TextContentAsync());

        server.App.Queue.Finish(TimeSpan.FromSeconds(1));
        await server.DisposeAsync();
        await visit.Page.ClickAsync("#run");
        await visit.UntilAsync("/Connection lost/.test(document.getElementById('problem').textContent)");
        await visit.UntilAsync("document.getElementById('server-state').textContent === 'offline'");
    }

    [BrowserFact]
    public async Task With_a_key_set_the_page_asks_for_it_and_then_works()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { ApiKeys = ["open sesame"] });
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        visit.Expected.Add("Failed to load resource: the server responded with a status of 401");
        await visit.Page.Locator("#key").WaitForAsync();
        await visit.RunAsync();
        Assert.Contains("key", await visit.Problem.TextContentAsync());
        await visit.Page.FillAsync("#key", "open sesame");
        await visit.Page.ClickAsync("#run");
        GenerationJob job = await server.TakeAsync();
        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "welcome");
        server.Finish(job);
        await visit.IdleAsync();
        Assert.Equal("welcome", await visit.Texts.TextContentAsync());
        await visit.UntilAsync("document.getElementById('server-queue').textContent === 'empty'");
        Assert.Contains("$UNDERSTORY_API_KEY", await visit.Page.Locator("#curl").TextContentAsync());
        Assert.DoesNotContain("sesame", await visit.Page.Locator("#curl").TextContentAsync());
        Assert.DoesNotContain("sesame", await visit.Page.EvaluateAsync<string>("JSON.stringify(localStorage)"));
    }

    [BrowserFact]
    public async Task Only_the_modes_that_the_server_has_can_be_chosen()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.UntilAsync("document.getElementById('model-name').textContent === 'scripted'");
        Assert.Equal(
            ["auto", "off", "ngram"],
            await visit.Page.Locator("input[name=speculation]:enabled").EvaluateAllAsync<string[]>("all => all.map(radio => radio.value)"));
        Assert.Equal(
            ["auto", "ngram", "off"],
            (await visit.Page.Locator("#other option:enabled").AllTextContentsAsync()).Order());
        Assert.Equal(server.App.Decoding.Model.Kernels, await visit.Page.TextContentAsync("#model-kernels"));
    }

    [BrowserFact]
    public async Task What_runs_and_what_waits_is_shown()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync(new ServerOptions { MaxQueue = 3 });
        await using Visit visit = await browser.VisitAsync(server.App.Address);
        await visit.UntilAsync("document.getElementById('server-queue').textContent === 'empty'");
        Task<HttpResponseMessage> first = server.PostAsync("/v1/completions", "{\"prompt\": [1]}");
        GenerationJob running = await server.TakeAsync();
        await visit.UntilAsync("document.getElementById('server-queue').textContent === '1 running'");
        Task<HttpResponseMessage> second = server.PostAsync("/v1/completions", "{\"prompt\": [1]}");
        await visit.UntilAsync("document.getElementById('server-queue').textContent === '1 running, 1 of 3 waiting'");
        server.Finish(running);
        server.Finish(await server.TakeAsync());
        await first;
        await second;
        await visit.UntilAsync("document.getElementById('server-queue').textContent === 'empty'");
    }
}
