using Microsoft.Playwright;

namespace Understory.Page.Tests;

/// <summary>
/// One visitor's look at the page. At its end it is checked that nothing was asked of anybody but the server, that the page's code raised
/// no error, and that the console is clean.
/// </summary>
public sealed class Visit : IAsyncDisposable
{
    private readonly IBrowserContext _context;
    private readonly Uri _server;
    private readonly List<string> _errors = [];
    private readonly List<string> _requests = [];

    private Visit(IBrowserContext context, IPage page, Uri server)
    {
        _context = context;
        _server = server;
        Page = page;
        page.PageError += (_, error) => _errors.Add(error);
        page.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning")
            {
                _errors.Add(message.Text);
            }
        };
        context.Request += (_, request) => _requests.Add(request.Url);
    }

    public IPage Page { get; }

    /// <summary>Starts of console lines that belong to the test: the browser reports every answer of status 400 and above.</summary>
    public List<string> Expected { get; } = [];

    public ILocator Problem => Page.Locator("#problem");

    public ILocator Texts => Page.Locator(".run .text");

    public static async Task<Visit> OpenAsync(IBrowserContext context, Uri server)
    {
        IPage page = await context.NewPageAsync();
        page.SetDefaultTimeout(60_000);
        var visit = new Visit(context, page, server);
        await page.GotoAsync(server.ToString());
        return visit;
    }

    /// <summary>Fills the form.</summary>
    public async Task FillAsync(params (string Field, string Value)[] fields)
    {
        await Page.Locator("details.more").First.EvaluateAsync("details => details.open = true");
        foreach ((string field, string value) in fields)
        {
            await Page.FillAsync($"#{field}", value);
        }
    }

    public async Task ModeAsync(string mode)
    {
        // Until the page knows what runs, everything below its head moves once more, and a click may fall beside.
        await UntilAsync("document.getElementById('model-size').textContent !== ''");
        await Page.GetByRole(AriaRole.Radio, new() { Name = mode, Exact = true }).CheckAsync(new() { Force = true });
    }

    /// <summary>Turns to the conversation.</summary>
    public Task ChatAsync() => Page.Locator("#kind").GetByText("Chat", new() { Exact = true }).ClickAsync();

    /// <summary>
    /// Can the first element of this selector be seen whole, or as much of it as the screen holds? It may take some frames to come there.
    /// </summary>
    public async Task<bool> InSightAsync(string selector)
    {
        for (int i = 0; i < 400; i++)
        {
            if (await Page.Locator(selector).First.EvaluateAsync<bool>(
                """
                element => {
                    const { top, bottom, height } = element.getBoundingClientRect();
                    const shown = Math.min(bottom, innerHeight) - Math.max(top, 0);
                    return height > 0 && shown >= Math.min(height, innerHeight / 2) - 2;
                }
                """))
            {
                return true;
            }

            await Task.Delay(50);
        }

        return false;
    }

    /// <summary>Presses Run and waits until nothing runs any more.</summary>
    public async Task RunAsync()
    {
        await Page.ClickAsync("#run");
        await IdleAsync();
    }

    public async Task CompareAsync(string other)
    {
        await Page.SelectOptionAsync("#other", other);
        await Page.ClickAsync("#compare");
        await IdleAsync();
        await Page.Locator("#verdict").WaitForAsync();
    }

    public Task IdleAsync() => Page.Locator("#run:not(:disabled)").WaitForAsync();

    /// <summary>Waits until <paramref name="script"/>, a JavaScript expression, is true.</summary>
    public async Task UntilAsync(string script)
    {
        // Asked from outside: what waits inside the page evaluates text there, which the page's policy forbids.
        for (int i = 0; i < 2400; i++)
        {
            if (await Page.EvaluateAsync<bool>(script))
            {
                return;
            }

            await Task.Delay(50);
        }

        Assert.Fail($"It did not become true within two minutes: {script}");
    }

    public async ValueTask DisposeAsync()
    {
        await _context.DisposeAsync();
        Assert.DoesNotContain(_errors, error => !Expected.Any(start => error.StartsWith(start, StringComparison.Ordinal)));
        Assert.NotEmpty(_requests);
        Assert.All(_requests, request => Assert.StartsWith(_server.ToString(), request));
    }
}
