using System.Net.Sockets;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Serilog;
using Understory.Server.Anthropic;
using Understory.Server.Hosting;
using Understory.Server.Observability;
using Understory.Server.OpenAi;
using Understory.Server.OpenAi.Responses;

namespace Understory.Server.Endpoints;

/// <summary>
/// One server: Kestrel in front, the queue and the decoding thread behind. It listens at once, so that <c>/health</c> can tell what is
/// being loaded, and takes requests when <see cref="DecodingService.Ready"/>.
/// </summary>
public sealed class ServerApp : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ServerOptions _options;
    private readonly ServerMetrics _metrics;
    private readonly ProcessMetrics _process;
    private readonly PrometheusBridge _exposition;
    private readonly ApiKeys _keys;
    private readonly RequestPipeline _pipeline;
    private readonly GenerationSpans _spans;

    /// <param name="load">Loads the model, on the decoding thread; tells its stages.</param>
    /// <param name="logger">Null: no log.</param>
    /// <exception cref="StartupException">The key file cannot be read.</exception>
    public ServerApp(ServerOptions options, Func<Action<string>, LoadedModel> load, Serilog.ILogger? logger = null)
    {
        _options = options;
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            options.Connections.Apply(kestrel.Limits);
            // Without TLS there is nothing but HTTP/1.1 to be had.
            kestrel.Listen(options.Address, options.Port, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<BodyBudget>();
        builder.Services.AddLogging();
        if (logger is not null)
        {
            builder.Services.AddSerilog(logger);
        }

        // The process decides when to stop (see DrainAsync), not the host.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(5));
        Telemetry.Add(builder, options.OtlpEndpoint, (span, http) => _spans!.Complete(span, RequestRecord.Of(http)));
        Queue = new RequestQueue(options.MaxQueue);
        _app = builder.Build();
        Decoding = new DecodingService(Queue, load, _app.Services.GetRequiredService<ILogger<DecodingService>>());
        _spans = new GenerationSpans(Decoding);
        _exposition = new PrometheusBridge(meter => ReferenceEquals(meter.Scope, this));
        _metrics = new ServerMetrics(
            this, () => Queue.Depth, () => Queue.Running ? 1 : 0, options.MaxQueue, () => Decoding.KeptTokens,
            () => Decoding.Ready.IsCompletedSuccessfully ? (Decoding.Model.Id, Decoding.Model.Kernels) : null);
        _process = new ProcessMetrics(this);
        _metrics.Zero();
        _keys = new ApiKeys(options, _app.Services.GetRequiredService<ILogger<ApiKeys>>());
        var routes = new ApiRoutes(_app, _keys.Any);
        _pipeline = new RequestPipeline(routes, _metrics, _app.Services.GetRequiredService<ILogger<RequestPipeline>>());
        Map(routes);
    }

    public RequestQueue Queue { get; }

    public DecodingService Decoding { get; }

    /// <summary>Bytes of bodies that requests hold.</summary>
    public long HeldBodyBytes => _app.Services.GetRequiredService<BodyBudget>().Held;

    /// <summary>Where it listens, with the port that was really taken.</summary>
    public Uri Address => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());

    /// <summary>Listens, and begins to load.</summary>
    /// <exception cref="StartupException">The address cannot be had.</exception>
    public async Task StartAsync()
    {
        await ListenAsync();
        Decoding.Start();
    }

    /// <summary>Listens only: for tests that play the decoding thread themselves.</summary>
    public async Task ListenAsync()
    {
        try
        {
            await _app.StartAsync();
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            throw new StartupException(
                e.InnerException is Microsoft.AspNetCore.Connections.AddressInUseException
                    ? $"Port {_options.Port} on {_options.Host} is taken; choose another with --port (0 picks a free one)."
                    : $"Cannot listen on {_options.Host}, port {_options.Port}: {e.Message}",
                e);
        }
    }

    /// <summary>
    /// Goes down in good order: new and waiting requests get 503, the running one may finish within <c>--drain-seconds</c>, then it is
    /// ended too.
    /// </summary>
    public async Task DrainAsync()
    {
        Task idle = Queue.DrainAsync();
        if (await Task.WhenAny(idle, Task.Delay(_options.Drain)) != idle)
        {
            Queue.Interrupt();
        }

        // Answers on their way out are finished by Kestrel.
        await _app.StopAsync();
        Decoding.Join(TimeSpan.FromSeconds(5));
    }

    public async ValueTask DisposeAsync()
    {
        _ = Queue.DrainAsync();
        Queue.Interrupt();
        await _app.DisposeAsync();
        Decoding.Join(TimeSpan.FromSeconds(5));
        await Task.WhenAny(_pipeline.Told, Task.Delay(TimeSpan.FromSeconds(1)));
        _keys.Dispose();
        _exposition.Dispose();
        _metrics.Dispose();
        _process.Dispose();
    }

    private void Map(ApiRoutes routes)
    {
        _app.Use(_pipeline.InvokeAsync);
        _app.Use(_options.Connections.InvokeAsync);
        _app.Use(new AccessGuard(_options, _keys).InvokeAsync);

        var responder =
            new GenerationResponder(Decoding, Queue, _options, _metrics, _app.Services.GetRequiredService<ILogger<GenerationResponder>>());
        var completions = new CompletionsEndpoint(Decoding, responder, _options);
        var chat = new ChatEndpoint(Decoding, responder, _options, _app.Services.GetRequiredService<ILogger<ChatEndpoint>>());
        var small = new SmallEndpoints(Decoding, Queue, _exposition, _options);
        routes.Map(Operations.Completions, completions.InvokeAsync);
        routes.Map(Operations.Chat, http => chat.InvokeAsync(http, ChatRequest.Read));
        routes.Map(ChatOperations.Responses, http => chat.InvokeAsync(http, ResponsesRequest.Read));
        routes.Map(ChatOperations.ResponseTokens, http =>
            chat.CountAsync(http, ResponsesRequest.Read, tokens => new InputTokensBody("response.input_tokens", tokens)));
        routes.Map(ChatOperations.ShowResponse, ChatEndpoint.NotStoredAsync);
        routes.Map(ChatOperations.DeleteResponse, ChatEndpoint.NotStoredAsync);
        routes.Map(ChatOperations.CancelResponse, ChatEndpoint.NotStoredAsync);
        routes.Map(ChatOperations.ResponseItems, ChatEndpoint.NotStoredAsync);
        routes.Map(ChatOperations.Messages, http => chat.InvokeAsync(http, MessagesRequest.Read));
        routes.Map(ChatOperations.MessageTokens, http =>
            chat.CountAsync(http, MessagesRequest.ReadCount, tokens => new TokenCount(tokens)));
        routes.Map(Operations.Embeddings, new EmbeddingsEndpoint(Decoding, responder, _options).InvokeAsync);
        var state = new StateEndpoints(Decoding, Queue, _options);
        routes.Map(Operations.Props, state.PropsAsync);
        routes.Map(Operations.Slots, state.SlotsAsync);
        routes.Map(Operations.ListModels, small.ListModelsAsync);
        routes.Map(Operations.ShowModel, small.ShowModelAsync);
        routes.Map(Operations.Tokenize, small.TokenizeAsync);
        routes.Map(Operations.Detokenize, small.DetokenizeAsync);
        routes.Map(Operations.Health, small.HealthAsync);
        routes.Map(Operations.Metrics, small.MetricsAsync);
        _app.MapMethods("/", [HttpMethods.Get, HttpMethods.Head], PageEndpoint.InvokeAsync);
        _app.MapMethods("/page/{file}", [HttpMethods.Get, HttpMethods.Head], PageEndpoint.InvokeAsync);
    }

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
