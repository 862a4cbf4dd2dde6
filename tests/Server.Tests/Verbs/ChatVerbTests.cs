using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Verbs;

/// <summary>A conversation on the terminal.</summary>
public sealed class ChatVerbTests
{
    private static readonly string[] Greedy = ["chat", "--temperature", "0", "--max-tokens", "24"];

    private const string System =
        "You complete Python code. You never explain it, you never repeat it, and you stop as soon as the function is complete.";

    private static async Task<string[]> AnswersAsync(string input, params string[] more)
    {
        var (code, output, errors) = await ServerProcess.RunAsync([.. Greedy, .. more], input);
        Assert.True(code == 0, errors);
        return output.ReplaceLineEndings("\n").Split('\n');
    }

    [ProcessFact]
    public async Task It_says_what_the_chat_endpoint_says_turn_by_turn()
    {
        var (code, output, errors) = await ServerProcess.RunAsync([.. Greedy, "--system", System], "def add(a, b):\nreturn a +\\\n b\n");
        Assert.True(code == 0, errors);
        Assert.Contains("tok/s", errors);
        Assert.Contains("cached", errors);
        Assert.StartsWith("understory-demo: 4.74 million parameters, context of 1,024 tokens; chats", errors);
        Assert.Contains("not what a model can do", errors);

        using ServerProcess server = await ServerProcess.StartAsync();
        var turns = new JsonArray(Turn("system", System), Turn("user", "def add(a, b):"));
        string first = await SayAsync(server, turns);
        turns.Add(Turn("assistant", first));
        turns.Add(Turn("user", "return a +\n b"));
        string second = await SayAsync(server, turns);
        Assert.Equal($"{first}\n{second}\n", output.ReplaceLineEndings("\n"));
    }

    [ProcessFact]
    public async Task The_mode_changes_the_speed_and_not_the_words_and_reset_forgets()
    {
        string[] once = await AnswersAsync("import numpy\n");
        string[] often =
            await AnswersAsync("import numpy\n/mode off\n/reset\nimport numpy\n/mode staged\n/reset\nimport numpy\n/exit\nnever\n");
        Assert.Equal([.. once[..^1], .. once[..^1], .. once[..^1], ""], often);
    }

    [ProcessFact]
    public async Task What_is_no_command_is_told_and_a_question_that_does_not_fit_can_be_asked_shorter()
    {
        string tooLong = string.Join(' ', Enumerable.Range(0, 3000));
        var (code, output, errors) =
            await ServerProcess.RunAsync([.. Greedy, "--context", "64"], $"/dance\n/mode fast\n/retry\n{tooLong}\nx\n");
        Assert.Equal(0, code);
        Assert.All(["/dance is no command", "'fast' is none of auto, off, ngram", "there is no answer yet", "/reset begins anew"], part =>
            Assert.Contains(part, errors));
        Assert.True(output.Length > 1, errors);
    }

    [ProcessFact]
    public async Task SIGINT_stops_the_answer_and_not_the_program()
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "understory"),
            ["chat", "--threads", "1", "--max-tokens", "2000", "--speculation", "off"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process chat = Process.Start(start)!;
        // A slow load tells how far it is.
        string? begun;
        do
        {
            begun = await chat.StandardError.ReadLineAsync().WaitAsync(TimeSpan.FromMinutes(3));
        }
        while (begun?.Contains("/help", StringComparison.Ordinal) is false);

        Assert.NotNull(begun);
        // A shell that is there already: starting one takes longer than many an answer.
        using Process shell = Process.Start(
            new ProcessStartInfo("sh", ["-c", "while read -r pid; do kill -INT $pid; done"]) { RedirectStandardInput = true })!;
        shell.StandardInput.AutoFlush = true;
        bool stopped = false;
        bool armed = false;
        _ = Task.Run(async () =>
        {
            char[] buffer = new char[256];
            while (await chat.StandardOutput.ReadAsync(buffer) > 0)
            {
                // What comes may still be the end of the answer before: a signal between two answers stops none.
                lock (shell)
                {
                    if (armed)
                    {
                        shell.StandardInput.WriteLine(chat.Id);
                    }
                }
            }
        });
        // An answer may have come to its end before the signal does.
        for (int i = 0; i < 100 && !stopped; i++)
        {
            lock (shell)
            {
                armed = true;
            }

            chat.StandardInput.WriteLine($"/reset\nprint({i})");
            string? line;
            do
            {
                line = await chat.StandardError.ReadLineAsync().WaitAsync(TimeSpan.FromMinutes(3));
            }
            while (line is not null && !line.Contains("tok/s", StringComparison.Ordinal) && !(stopped = line == "stopped"));
        }

        Assert.True(stopped);
        // No signal may come when the program is about to leave.
        lock (shell)
        {
            armed = false;
            shell.StandardInput.Close();
        }

        await shell.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
        await Task.Delay(500);
        chat.StandardInput.WriteLine("/exit");
        await chat.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
        Assert.Equal(0, chat.ExitCode);
    }

    private static JsonObject Turn(string role, string content) => new() { ["role"] = role, ["content"] = content };

    private static async Task<string> SayAsync(ServerProcess server, JsonArray turns)
    {
        var body = new JsonObject { ["messages"] = turns.DeepClone(), ["temperature"] = 0, ["max_tokens"] = 24 };
        JsonNode answer = await (await server.Client.PostAsJsonAsync("/v1/chat/completions", body)).JsonAsync();
        return (string)answer["choices"]![0]!["message"]!["content"]!;
    }
}
