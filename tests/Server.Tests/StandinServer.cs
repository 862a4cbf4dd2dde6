using Understory.Server.Endpoints;
using Understory.Server.Hosting;

namespace Understory.Server.Tests;

/// <summary>Serves the stand-in pair as the program serves the demo that it comes with.</summary>
internal static class StandinServer
{
    /// <returns>Once the model is loaded.</returns>
    public static async Task<ServerApp> StartAsync(ServerOptions options)
    {
        options = options with { Model = Standin.Target, Draft = Standin.Draft, Ngram = Standin.Ngram };
        var app = new ServerApp(options, stage =>
        {
            LoadedModel loaded = new ModelLoading(options).Load(stage);
            return loaded with { Served = loaded.Served with { Id = DemoBundle.Name, Demo = true } };
        });
        await app.StartAsync();
        await app.Decoding.Ready.WaitAsync(TimeSpan.FromMinutes(3));
        return app;
    }
}
