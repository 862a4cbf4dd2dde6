using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging.Abstractions;
using Understory.Decoding;
using Understory.Server.Hosting;

namespace Understory.Server.Verbs;

/// <summary>A model for the verbs that answer on the terminal: loaded and decoded as the server does it, without HTTP.</summary>
internal sealed class TerminalModel : IAsyncDisposable
{
    // One place beside the running job: the next question may come before the thread has put the last one away.
    private readonly RequestQueue _queue = new(places: 1);
    private readonly DecodingService _decoding;

    private TerminalModel(ServerOptions options) =>
        _decoding = new DecodingService(_queue, new ModelLoading(options).Load, NullLogger<DecodingService>.Instance);

    public ServedModel Served => _decoding.Model;

    /// <exception cref="StartupException">The model cannot be loaded.</exception>
    public static async Task<TerminalModel> LoadAsync(ServerOptions options)
    {
        var model = new TerminalModel(options);
        model._decoding.Start();
        await model._decoding.Ready;
        return model;
    }

    /// <summary>Decodes one answer; SIGINT ends the answer, not the program.</summary>
    /// <param name="tell">Called with every step.</param>
    /// <returns>How it ended; null: it was interrupted.</returns>
    public async Task<ChoiceFinished?> AnswerAsync(GenerationRequest request, Action<StepDone> tell)
    {
        var job = new GenerationJob([request]);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            job.End();
        });
        ChoiceFinished? end = null;
        try
        {
            _queue.Enqueue(job);
            await foreach (GenerationEvent item in job.Events.ReadAllAsync())
            {
                if (item is StepDone step)
                {
                    tell(step);
                }

                end = item as ChoiceFinished ?? end;
            }
        }
        finally
        {
            job.End();
        }

        return end;
    }

    public async ValueTask DisposeAsync()
    {
        _queue.Interrupt();
        await _queue.DrainAsync();
        _decoding.Join(TimeSpan.FromSeconds(5));
    }
}
