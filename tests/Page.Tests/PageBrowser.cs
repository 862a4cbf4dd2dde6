using Microsoft.Playwright;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;

namespace Understory.Page.Tests;

/// <summary>Chromium, started once, and a server with the stand-in for the demo.</summary>
public sealed class PageBrowser : IAsyncLifetime
{
    private IPlaywright? _playwright;
    private IBrowser? _browser;
    private ServerApp? _demo;

    /// <summary>Where the demo is served.</summary>
    public Uri Demo => _demo!.Address;

    public async Task InitializeAsync()
    {
        if (BrowserFactAttribute.Chromium is not { } chromium)
        {
            return;
        }

        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new()
        {
            ExecutablePath = chromium,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--no-first-run"],
        });
        _demo = await StandinServer.StartAsync(new ServerOptions { Port = 0 });
    }

    public async Task DisposeAsync()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
            _playwright!.Dispose();
            await _demo!.DisposeAsync();
        }
    }

    /// <summary>The page of a server, in a visit of its own: nothing is remembered from others.</summary>
    public async Task<Visit> VisitAsync(Uri server, int width = 1280, ColorScheme scheme = ColorScheme.Light, int height = 860)
    {
        IBrowserContext context = await _browser!.NewContextAsync(new()
        {
            ViewportSize = new() { Width = width, Height = height },
            ColorScheme = scheme,
            ReducedMotion = ReducedMotion.Reduce,
        });
        return await Visit.OpenAsync(context, server);
    }
}

[CollectionDefinition(Name)]
public sealed class BrowserGroup : ICollectionFixture<PageBrowser>
{
    public const string Name = "browser";
}

/// <summary>Needs Chromium.</summary>
public class BrowserFactAttribute : FactAttribute
{
    public BrowserFactAttribute()
    {
        if (Chromium is null)
        {
            Skip = "Chromium is not installed.";
        }
    }

    /// <summary>Its program; null: there is none.</summary>
    public static string? Chromium { get; } =
        new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome" }.FirstOrDefault(File.Exists);
}

/// <summary>Needs Chromium.</summary>
public sealed class BrowserTheoryAttribute : TheoryAttribute
{
    public BrowserTheoryAttribute() => Skip = new BrowserFactAttribute().Skip;
}

/// <summary>Needs Chromium, curl and a shell.</summary>
public sealed class BrowserCurlFactAttribute : BrowserFactAttribute
{
    public BrowserCurlFactAttribute()
    {
        if (!Understory.Server.Tests.Tools.Has("curl") || !Understory.Server.Tests.Tools.Has("sh"))
        {
            Skip ??= "curl or sh is not installed.";
        }
    }
}

/// <summary>Needs Chromium and the npm package axe-core.</summary>
public sealed class AxeFactAttribute : BrowserFactAttribute
{
    public AxeFactAttribute()
    {
        if (!File.Exists(Script))
        {
            Skip = "The npm package axe-core is not installed: run npm install in tests/Server.Tests/Clients/node.";
        }
    }

    public static string Script { get; } =
        Path.Combine(Understory.Server.Tests.Tools.Root, "tests", "Server.Tests", "Clients", "node", "node_modules", "axe-core",
            "axe.min.js");
}
