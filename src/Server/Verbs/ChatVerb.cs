using System.CommandLine;
using System.Runtime.InteropServices;
using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Models.Architecture;
using Understory.Server.Chat;
using Understory.Server.Endpoints;
using Understory.Server.Hosting;
using Understory.Server.Wire;

namespace Understory.Server.Verbs;

/// <summary><c>understory chat</c>: a conversation on the terminal.</summary>
public static class ChatVerb
{
    private static readonly Option<string?> SystemText =
        new("--system") { Description = "What the model is told before the conversation.", HelpName = "TEXT" };
    private static readonly Option<int> MaxTokens = AnswerOptions.MaxTokens(1024);
    private static readonly Option<float?> Temperature =
        new("--temperature") { Description = "0 is greedy. Default: the model's own.", HelpName = "T" };

    private const string Help = """
        /reset          begin a new conversation
        /retry          answer the last question again, with the next seed
        /system TEXT    tell the model something before the conversation
        /mode MODE      auto, off, ngram, draft or staged: the same words, at another speed
        /exit           leave; so does Ctrl-D
        A line that ends in \ goes on in the next. Ctrl-C stops an answer.
        """;

    public static Command Create(CommandLine line)
    {
        var verb = new Command("chat", "Talk with the model on the terminal.") { SystemText, MaxTokens, Temperature, AnswerOptions.Seed };
        verb.SetAction((parsed, cancellation) => RunAsync(
            line.Read(parsed), parsed.GetValue(SystemText), parsed.GetValue(MaxTokens), parsed.GetValue(Temperature),
            parsed.GetValue(AnswerOptions.Seed)));
        return verb;
    }

    private static async Task<int> RunAsync(ServerOptions options, string? system, int maxTokens, float? temperature, ulong seed)
    {
        await using TerminalModel model = await TerminalModel.LoadAsync(options);
        using var writer = new StageWriter();
        GenerationDefaults defaults = model.Served.Defaults;
        var session = new Session(model, writer)
        {
            MaxTokens = maxTokens,
            Mode = options.Speculation,
            Sampling = new SamplingParams
            {
                Temperature = temperature ?? defaults.Temperature ?? 1,
                TopK = defaults.TopK ?? 0,
                TopP = defaults.TopP ?? 1,
                Seed = seed,
            },
        };
        session.Reset(system);
        try
        {
            session.Sampling.Validate(model.Served.Vocabulary);
        }
        catch (ArgumentException e)
        {
            throw new UsageException(e.Message);
        }

        // Between answers it must not end the program either.
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal =>
        {
            signal.Cancel = true;
            if (!session.Answering)
            {
                session.Note("(/exit or Ctrl-D leaves)");
            }
        });
        string[] lines = [.. ModelIntroduction.Lines(model.Served, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)];
        session.Note($"{lines[0]}; /help tells more{(writer.Coloured ? $"; colours: {StageWriter.Legend}" : "")}");
        Array.ForEach(lines[1..], session.Note);
        while (Session.Ask() is { } words)
        {
            if (words.StartsWith('/'))
            {
                if (words is "/exit" or "/quit")
                {
                    break;
                }

                await session.CommandAsync(words);
            }
            else if (words.Length > 0)
            {
                await session.SayAsync(words);
            }
        }

        return CommandLine.Done;
    }

    /// <summary>The conversation so far, and how it is answered.</summary>
    private sealed class Session(TerminalModel model, StageWriter writer)
    {
        private readonly List<ChatTurn> _turns = [];

        private volatile bool _answering;

        public bool Answering => _answering;

        public required int MaxTokens { get; init; }

        public required SpeculationMode Mode { get; set; }

        public required SamplingParams Sampling { get; set; }

        /// <summary>Something of ours, apart from what the model says.</summary>
        public void Note(string text) => Console.Error.WriteLine(writer.Coloured ? $"\e[2m{text}\e[0m" : text);

        /// <returns>Null: there is nobody to ask any more.</returns>
        public static string? Ask()
        {
            var words = new List<string>();
            do
            {
                if (!Console.IsInputRedirected)
                {
                    Console.Error.Write(words.Count == 0 ? "> " : "  ");
                }

                if (Console.ReadLine() is not { } line)
                {
                    return words.Count == 0 ? null : string.Join('\n', words);
                }

                words.Add(line);
            }
            while (words[^1].EndsWith('\\') && (words[^1] = words[^1][..^1]) is not null);

            return string.Join('\n', words).Trim();
        }

        public void Reset(string? system)
        {
            _turns.Clear();
            if (system is { Length: > 0 })
            {
                _turns.Add(new ChatTurn("system", system));
            }
        }

        public async Task CommandAsync(string words)
        {
            (string command, string rest) = words.Split(' ', 2, StringSplitOptions.TrimEntries) is [var first, var second]
                ? (first, second) : (words, "");
            switch (command)
            {
                case "/help":
                    Note(Help);
                    break;
                case "/reset":
                    Reset(_turns is [{ Role: "system", Content: var system }, ..] ? system : null);
                    break;
                case "/system":
                    Reset(rest);
                    break;
                case "/retry" when _turns is [.., { Role: "user", Content: var question }, { Role: "assistant" }]:
                    _turns.RemoveRange(_turns.Count - 2, 2);
                    Sampling = Sampling with { Seed = Sampling.Seed + 1 };
                    await SayAsync(question);
                    break;
                case "/retry":
                    Note("there is no answer yet");
                    break;
                case "/mode" when Enum.TryParse(rest, ignoreCase: true, out SpeculationMode mode) && model.Served.Modes.Contains(mode):
                    Mode = mode;
                    break;
                case "/mode":
                    Note($"'{rest}' is none of {string.Join(", ", model.Served.Modes.Select(mode => mode.ToString().ToLowerInvariant()))}");
                    break;
                default:
                    Note($"{command} is no command:\n{Help}");
                    break;
            }
        }

        /// <summary>Puts a question; the answer, whole or interrupted, becomes part of the conversation.</summary>
        public async Task SayAsync(string words)
        {
            _turns.Add(new ChatTurn("user", words));
            _answering = true;
            try
            {
                PreparedChat chat = ChatGeneration.Prepare(model.Served, new Conversation { Turns = _turns });
                var parser = new AnswerParser(chat.Answer);
                ChoiceFinished? end = await model.AnswerAsync(
                    chat.In(new GenerationRequest
                    {
                        Prompt = chat.Prompt,
                        Sampling = Sampling,
                        MaxTokens = Math.Clamp(MaxTokens, 0, model.Served.Context - chat.Prompt.Length),
                        Speculation = Mode,
                        ReportTree = writer.Coloured,
                    }),
                    step =>
                    {
                        writer.Write(step);
                        parser.Push(step.Text);
                    });
                parser.Finish();
                writer.WriteLine();
                _turns.Add(new ChatTurn("assistant", parser.Answer.Text));
                Note(end is null ? "stopped" : CompleteVerb.Figures(end));
            }
            catch (ApiException e)
            {
                _turns.RemoveAt(_turns.Count - 1);
                Note($"{e.Message} /reset begins anew.");
            }
            finally
            {
                _answering = false;
            }
        }
    }
}
