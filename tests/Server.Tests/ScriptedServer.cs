using System.Text;
using Understory.Decoding;
using Understory.Decoding.Sequences;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;

namespace Understory.Server.Tests;

/// <summary>A server on a free port whose decoding thread is the test: it decides when a job is taken and what comes of it.</summary>
internal sealed class ScriptedServer : IAsyncDisposable
{
    private static readonly Lazy<Tokenizer> DemoTokenizer = new(() => Tokenizer.Load(Standin.TokenizerFile));

    private ScriptedServer(ServerApp app)
    {
        App = app;
        Client = new HttpClient { BaseAddress = app.Address, Timeout = TimeSpan.FromMinutes(3) };
    }

    public ServerApp App { get; }

    public HttpClient Client { get; }

    public static async Task<ScriptedServer> StartAsync(ServerOptions? options = null, bool ready = true, ServedModel? model = null,
        Serilog.ILogger? logger = null)
    {
        var app = new ServerApp((options ?? new ServerOptions()) with { Port = 0 }, _ =>
            throw new InvalidOperationException("The test decodes."), logger);
        await app.ListenAsync();
        if (ready)
        {
            app.Decoding.Announce(model ?? Model());
        }

        return new ScriptedServer(app);
    }

    /// <summary><see cref="Model()"/> with another way from conversations to prompts, and room for its prompts.</summary>
    public static ServedModel Model(ChatRenderer chat) => Model() with { Chat = chat, Context = 4096 };

    /// <summary>A renderer for the demo model's tokenizer.</summary>
    public static ChatRenderer Renderer(string? template, ToolSyntax? syntax = null) =>
        new(DemoTokenizer.Value, template is null ? null : ChatTemplate.Parse(template), syntax: syntax);

    /// <summary>The text of a job's prompt.</summary>
    public static string PromptOf(GenerationJob job) => DemoTokenizer.Value.Decode(job.Choices[0].Prompt);

    /// <summary>The demo model's tokenizer with a context of 64, and no drafter but the n-gram.</summary>
    public static ServedModel Model() => new(
        "scripted", ["alias"], DemoTokenizer.Value, new ChatRenderer(DemoTokenizer.Value, null), new GenerationDefaults(), 4096, 64, 0,
        "fp_test",
        DateTimeOffset.UnixEpoch, new HashSet<SpeculationMode> { SpeculationMode.Auto, SpeculationMode.Off, SpeculationMode.Ngram });

    /// <summary>As <see cref="Model()"/>, but with room for tools, and able to think before it answers.</summary>
    public static ServedModel Thinker() => Model() with
    {
        Context = 1024,
        Chat = new ChatRenderer(DemoTokenizer.Value, ChatTemplate.Parse(
            "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
            + "assistant:{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}")),
    };

    /// <summary>The next job, as the decoding thread would take it.</summary>
    public async Task<GenerationJob> TakeAsync()
    {
        GenerationJob? job = null;
        bool taken = await Task.Run(() => App.Queue.Take(out job)).WaitAsync(TimeSpan.FromMinutes(3));
        return taken ? job! : throw new InvalidOperationException("The queue is drained.");
    }

    public static void Say(GenerationJob job, string text, int choice = 0) =>
        job.Send(
            new StepDone(choice, text, 1, [], new StepReport(1, 0, 0, 0.001, 0, 0, 0.001), System.Diagnostics.Stopwatch.GetTimestamp()));

    /// <summary>Ends the job's choices, and takes it off the thread.</summary>
    public void Finish(GenerationJob job, FinishReason reason = FinishReason.Stop, string? stopString = null)
    {
        for (int choice = 0; choice < job.Choices.Count; choice++)
        {
            job.Send(new ChoiceFinished(choice, reason, job.Choices[choice].Prompt.Length, 0, 1, new SequenceStatistics(), stopString));
        }

        job.End();
        App.Queue.Finish(TimeSpan.FromSeconds(1));
    }

    /// <summary>Gives up a job that its client has left.</summary>
    public async Task AbandonAsync(GenerationJob job)
    {
        await UntilAsync(() => job.Ended);
        App.Queue.Finish(TimeSpan.FromSeconds(1));
    }

    public Task<HttpResponseMessage> PostAsync(string path, string json, bool stream = false, CancellationToken cancellation = default) =>
        Client.SendAsync(
            new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(json, Encoding.UTF8, "application/json") },
            stream ? HttpCompletionOption.ResponseHeadersRead : HttpCompletionOption.ResponseContentRead,
            cancellation);

    /// <summary>Waits for something that happens on another thread.</summary>
    public static async Task UntilAsync(Func<bool> happened)
    {
        for (int i = 0; i < 12_000; i++)
        {
            if (happened())
            {
                return;
            }

            await Task.Delay(10);
        }

        Assert.Fail("It did not happen within two minutes.");
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await App.DisposeAsync();
    }
}
