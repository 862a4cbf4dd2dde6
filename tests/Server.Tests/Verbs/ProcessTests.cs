using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Verbs;

/// <summary>The program as its user meets it: what it prints, how it exits, how it goes down.</summary>
public sealed class ProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    /// <summary>A copy of one of the bundle's models, to be spoilt.</summary>
    private string Copy(string model, string name)
    {
        string copy = Path.Combine(_folder, name);
        Directory.CreateDirectory(copy);
        foreach (string file in Directory.EnumerateFiles(model))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        return copy;
    }

    private static void IsOneLine(string errors, params string[] named)
    {
        Assert.Single(errors.TrimEnd().Split('\n'));
        Assert.StartsWith("understory: ", errors);
        Assert.All(named, part => Assert.Contains(part, errors));
    }

    [ProcessFact]
    public async Task It_says_where_it_listens_once_it_is_ready_and_exits_with_0_on_SIGTERM()
    {
        using ServerProcess server = await ServerProcess.StartAsync("--alias", "mine");
        Assert.NotEqual(0, server.Client.BaseAddress!.Port);
        Assert.Equal(HttpStatusCode.OK, (await server.Client.GetAsync("/health")).StatusCode);
        JsonNode answer = await (await server.Client.PostAsync("/v1/completions",
            Json("{\"model\": \"mine\", \"prompt\": \"x\", \"max_tokens\": 3, \"ignore_eos\": true}"))).JsonAsync();
        Assert.Equal(3, (int)answer["usage"]!["completion_tokens"]!);
        server.Signal("TERM");
        Assert.Equal(0, await server.ExitAsync());
        Assert.Contains("Kernels: ", server.Errors);
        Assert.Contains("/v1/completions 200: prompt 2", server.Errors);
    }

    [ProcessFact]
    public async Task Prompts_and_answers_are_not_logged()
    {
        using ServerProcess server = await ServerProcess.StartAsync();
        await server.Client.PostAsync("/v1/completions", Json("{\"prompt\": \"confidential words\", \"echo\": true}"));
        await server.Client.PostAsync("/v1/chat/completions",
            Json("{\"messages\": [{\"role\": \"user\", \"content\": \"confidential words\"}], \"temperature\": \"confidential\"}"));
        server.Signal("TERM");
        await server.ExitAsync();
        Assert.Contains("/v1/chat/completions 400", server.Errors);
        Assert.DoesNotContain("confidential", server.Errors + server.Output);
    }

    [ProcessFact]
    public async Task A_log_file_has_the_lines_that_stderr_has_and_the_day_in_its_name()
    {
        string folder = Path.Combine(_folder, "logs");
        using ServerProcess server = await ServerProcess.StartAsync("--log-file", Path.Combine(folder, "understory.log"));
        await server.Client.PostAsync("/v1/completions", Json("{\"prompt\": 1.5}"));
        server.Signal("TERM");
        Assert.Equal(0, await server.ExitAsync());
        string file = Assert.Single(Directory.EnumerateFiles(folder));
        Assert.Matches(@"^understory\d{8}\.log$", Path.GetFileName(file));
        string[] lines = File.ReadAllLines(file);
        Assert.Contains(lines, line => line.Contains("/v1/completions 400 invalid_request_error prompt", StringComparison.Ordinal));
        Assert.All(lines, line => Assert.Contains(line, server.Errors));
    }

    [ProcessFact]
    public async Task A_log_file_that_cannot_be_written_is_one_line_and_exit_code_1()
    {
        string file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        foreach (string path in (string[])[_folder, Path.Combine(file, "x.log"), "/proc/x/y.log"])
        {
            (int code, _, string errors) = await ServerProcess.RunAsync(["--port", "0", "--log-file", path]);
            Assert.Equal(1, code);
            IsOneLine(errors, "--log-file", path);
        }
    }

    [ProcessFact]
    public async Task On_SIGTERM_the_running_request_finishes_and_the_waiting_one_is_refused()
    {
        using ServerProcess server =
            await ServerProcess.StartAsync("--drain-seconds", "300", "--threads", "1", "--speculation", "off");
        const string Long = "\"prompt\": \"x\", \"max_tokens\": 1000, \"n\": 16, \"ignore_eos\": true";
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/completions")
        {
            Content = Json($"{{{Long}, \"stream\": true}}"),
        };
        using HttpResponseMessage running = await server.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        // The signal may take so long to come that the first one is through by then: the last one waits all the same.
        Task<HttpResponseMessage> next = server.Client.PostAsync("/v1/completions", Json($"{{{Long}}}"));
        await WaitingAsync(1);
        Task<HttpResponseMessage> waiting = server.Client.PostAsync("/v1/completions", Json("{\"prompt\": \"y\"}"));
        await WaitingAsync(2);

        server.Signal("TERM");
        await (await waiting).ErrorAsync(503, code: "shutting_down");
        Assert.True((await next).StatusCode is HttpStatusCode.OK or HttpStatusCode.ServiceUnavailable);
        List<JsonNode> chunks = await running.ChunksAsync();
        Assert.Equal(16, chunks.Count(chunk => (string?)chunk["choices"]![0]!["finish_reason"] == "length"));
        Assert.Equal(0, await server.ExitAsync());

        Task WaitingAsync(int requests) => ScriptedServer.UntilAsync(() => server.Client.GetStringAsync("/metrics").Result
            .Contains($"understory_queue_depth {requests}\n", StringComparison.Ordinal));
    }

    [ProcessFact]
    public async Task A_taken_port_is_one_line_and_exit_code_1()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        string port = ((IPEndPoint)taken.LocalEndpoint).Port.ToString();
        (int code, _, string errors) = await ServerProcess.RunAsync(["--port", port]);
        Assert.Equal(1, code);
        IsOneLine(errors, port, "--port");
    }

    [ProcessFact]
    public async Task A_missing_model_is_one_line_and_exit_code_1()
    {
        foreach (string flag in (string[])["--model", "--draft", "--ngram"])
        {
            (int code, _, string errors) = await ServerProcess.RunAsync(["serve", "--port", "0", flag, "/nowhere/at-all"]);
            Assert.Equal(1, code);
            IsOneLine(errors, "/nowhere/at-all");
        }
    }

    [ProcessFact]
    public async Task Corrupt_weights_are_one_line_and_exit_code_1()
    {
        string model = Copy(Standin.Target, "broken");
        string weights = Path.Combine(model, "model.safetensors");
        File.WriteAllBytes(weights, File.ReadAllBytes(weights)[..100_000]);
        (int code, _, string errors) = await ServerProcess.RunAsync(["--port", "0", "--model", model]);
        Assert.Equal(1, code);
        IsOneLine(errors, "model.safetensors");

        File.Delete(weights);
        (code, _, errors) = await ServerProcess.RunAsync(["--port", "0", "--model", model]);
        Assert.Equal(1, code);
        IsOneLine(errors, model);
    }

    [ProcessFact]
    public async Task A_draft_that_shares_too_little_of_the_vocabulary_is_one_line_and_exit_code_1()
    {
        string draft = Copy(Standin.Draft, "stranger");
        string tokenizer = Path.Combine(draft, "tokenizer.json");
        JsonNode json = JsonNode.Parse(File.ReadAllText(tokenizer))!;
        JsonObject vocabulary = json["model"]!["vocab"]!.AsObject();
        // Two of three tokens that are longer than a byte have texts that nobody writes.
        var strange = new JsonObject();
        foreach ((string text, JsonNode? id) in vocabulary)
        {
            strange[text.Length > 1 && text[0] != '<' && id!.GetValue<int>() % 3 != 0 ? $"qzq{id}qzq" : text] = id!.GetValue<int>();
        }

        json["model"]!["vocab"] = strange;
        json["model"]!["merges"] = new JsonArray();
        File.WriteAllText(tokenizer, json.ToJsonString());
        (int code, _, string errors) = await ServerProcess.RunAsync(["--port", "0", "--draft", draft]);
        Assert.Equal(1, code);
        IsOneLine(errors, "vocabulary", " % of the smaller one's tokens are in both", "--draft none");
    }

    [ProcessFact]
    public async Task Wrong_use_is_one_line_and_exit_code_2()
    {
        foreach (string[] arguments in (string[][])[["--prot", "1"], ["--port", "x"], ["fly"], ["--host", "0.0.0.0"],
            ["complete", "x", "--max-tokens", "x"], ["--speculation", "fast"]])
        {
            (int code, _, string errors) = await ServerProcess.RunAsync(arguments);
            Assert.True(code == 2, $"{string.Join(' ', arguments)}: {code} {errors}");
            IsOneLine(errors);
        }

        (int fromVariable, _, string line) = await ServerProcess.RunAsync([], variables: ("UNDERSTORY_PORT", "x"));
        Assert.Equal(2, fromVariable);
        IsOneLine(line, "UNDERSTORY_PORT");
    }

    [ProcessFact]
    public async Task A_mode_whose_drafter_is_absent_is_refused_at_start()
    {
        (int code, _, string errors) = await ServerProcess.RunAsync(["--port", "0", "--draft", "none", "--speculation", "draft"]);
        Assert.Equal(1, code);
        IsOneLine(errors, "draft");
    }

    [ProcessFact]
    public async Task Complete_writes_the_text_that_the_server_would()
    {
        const string Prompt = "def add(a, b):\n    return";
        (int code, string output, string errors) =
            await ServerProcess.RunAsync(["complete", Prompt, "--max-tokens", "24", "--temperature", "0.8", "--seed", "5"]);
        Assert.Equal(0, code);
        (_, string piped, _) = await ServerProcess.RunAsync(
            ["complete", "--max-tokens", "24", "--temperature", "0.8", "--seed", "5", "--speculation", "off"], input: Prompt);
        Assert.Equal(output, piped);
        Assert.Contains("tok/s", errors);

        using ServerProcess server = await ServerProcess.StartAsync("--threads", "1");
        string body = $"{{\"prompt\": {JsonValue.Create(Prompt).ToJsonString()}, \"max_tokens\": 24, \"temperature\": 0.8, \"seed\": 5}}";
        JsonNode answer = await (await server.Client.PostAsync("/v1/completions", Json(body))).JsonAsync();
        Assert.Equal((string)answer["choices"]![0]!["text"]! + "\n", output.ReplaceLineEndings("\n"));
    }

    [ProcessFact]
    public async Task Keys_and_values_in_8_bits_give_one_text_with_speculation_off_and_on_and_the_log_says_what_they_take()
    {
        using ServerProcess server = await ServerProcess.StartAsync("--kv", "q8_0");
        foreach (string sampling in (string[])["\"temperature\": 0", "\"temperature\": 0.8, \"seed\": 5"])
        {
            string? plain = null;
            foreach (string mode in (string[])["off", "staged", "draft", "ngram", "auto"])
            {
                string body = "{\"prompt\": \"def add(a, b):\", \"max_tokens\": 48, \"ignore_eos\": true, "
                    + $"{sampling}, \"speculation\": \"{mode}\"}}";
                JsonNode answer = await (await server.Client.PostAsync("/v1/completions", Json(body))).JsonAsync();
                string text = (string)answer["choices"]![0]!["text"]!;
                Assert.Equal(plain ??= text, text);
            }
        }

        server.Signal("TERM");
        Assert.Equal(0, await server.ExitAsync());
        Assert.Matches("Target: .* keys and values in q8_0, [0-9.]+ kB a token", server.Errors);
        Assert.Matches("Draft: .* keys and values in q8_0, [0-9.]+ kB a token", server.Errors);
    }

    [ProcessFact]
    public async Task A_type_of_keys_and_values_that_there_is_not_is_refused_by_name()
    {
        (int code, _, string errors) = await ServerProcess.RunAsync(["serve", "--kv", "q4_0"]);
        Assert.Equal(2, code);
        IsOneLine(errors, "--kv", "bf16, f16 or q8_0", "'q4_0'");
    }

    [ProcessFact]
    public async Task Paths_are_relative_to_the_caller()
    {
        Copy(Standin.Target, "here");
        (int code, string output, _) = await ServerProcess.RunAsync(["info", "--model", "here"], folder: _folder);
        Assert.Equal(0, code);
        Assert.Matches("served as +here\n", output.ReplaceLineEndings("\n"));
    }

    [ProcessFact]
    public async Task The_fingerprint_names_weights_kernels_and_the_type_of_keys_and_values()
    {
        async Task<string> Fingerprint(string model, string kernels, params string[] more)
        {
            string[] arguments = ["info", "--model", model, .. more];
            (int code, string output, string errors) = await ServerProcess.RunAsync(arguments, variables: ("UNDERSTORY_KERNELS", kernels));
            Assert.True(code == 0, errors);
            string quantised = more.FirstOrDefault() == "--weights" ? more[1].ToUpperInvariant() : "";
            bool told = output.Contains($"weights        {quantised}, quantised", StringComparison.Ordinal);
            Assert.Equal(quantised.Length > 0, told);
            return output.Split('\n').Single(line => line.StartsWith("fingerprint", StringComparison.Ordinal)).Split(' ')[^1];
        }

        string fingerprint = await Fingerprint(Standin.Draft, "reference");
        Assert.Equal(fingerprint, await Fingerprint(Standin.Draft, "reference"));
        Assert.NotEqual(fingerprint, await Fingerprint(Standin.Draft, "portable"));
        string eight = await Fingerprint(Standin.Draft, "reference", "--weights", "q8_0");
        string four = await Fingerprint(Standin.Draft, "reference", "--weights", "q4_k");
        Assert.Equal(3, new[] { fingerprint, eight, four }.Distinct().Count());
        Assert.NotEqual(fingerprint, await Fingerprint(Standin.Draft, "reference", "--kv", "q8_0"));
        string other = Copy(Standin.Draft, "draft");
        string weights = Path.Combine(other, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(weights);
        bytes[^1] ^= 1;
        File.WriteAllBytes(weights, bytes);
        Assert.NotEqual(fingerprint, await Fingerprint(other, "reference"));
    }

    [ProcessFact]
    public async Task Info_tells_of_a_file_without_loading_its_weights()
    {
        (int code, string output, string errors) = await ServerProcess.RunAsync(["info", Standin.Target, "--context", "100"]);
        Assert.True(code == 0, errors);
        Assert.Empty(errors);
        Assert.Matches("family +gpt2, [0-9]+ layers", output);
        Assert.Matches("parameters +2.8 million\n", output.ReplaceLineEndings("\n"));
        Assert.Matches(" BF16 +[0-9.]+ MB for 2.8 million", output);
        Assert.Matches("context +100 tokens", output);
        Assert.Matches("memory +[0-9.]+ MB with all 100 tokens: weights [0-9.]+ MB, keys and values", output);
        foreach (string line in (string[])["chat template", "talk", "a pass"])
        {
            Assert.Contains($"\n{line} ", output.ReplaceLineEndings("\n"));
        }

        Assert.DoesNotContain("fingerprint", output);
    }

    [ProcessFact]
    public async Task Info_names_the_first_reason_not_to_serve_a_model()
    {
        string broken = Copy(Standin.Draft, "broken");
        string config = Path.Combine(broken, "config.json");
        string text = File.ReadAllText(config);
        File.WriteAllText(config, text.Replace("\"gpt2\"", "\"gpt9\"", StringComparison.Ordinal));
        (int code, string output, string errors) = await ServerProcess.RunAsync(["info", broken]);
        Assert.Equal((1, ""), (code, output));
        IsOneLine(errors, "gpt9", "config.json");

        File.WriteAllText(config, System.Text.RegularExpressions.Regex.Replace(text, "\"n_layer\": [0-9]+", "\"n_layer\": 99"));
        (code, output, errors) = await ServerProcess.RunAsync(["info", broken]);
        Assert.Equal((1, ""), (code, output));
        IsOneLine(errors, "h.", "is missing");
        (code, _, errors) = await ServerProcess.RunAsync(["info", "no-such-model"]);
        Assert.Equal(1, code);
        IsOneLine(errors, "no-such-model");
    }

    [ProcessFact]
    public async Task Info_and_version_tell_what_there_is()
    {
        (int code, string output, _) = await ServerProcess.RunAsync(["info"]);
        Assert.Equal(0, code);
        foreach (string part in (string[])["kernel sets", "understory-demo", "4096 tokens", "auto, off", "fp_"])
        {
            Assert.Contains(part, output);
        }

        (code, output, _) = await ServerProcess.RunAsync(["--version"]);
        Assert.Equal(0, code);
        Assert.Matches(@"^\d+\.\d+\.\d+", output);
        (code, output, _) = await ServerProcess.RunAsync(["--help"]);
        Assert.Equal(0, code);
        Assert.All(OptionCatalog.All, option => Assert.Contains(option.Flag, output));
    }

    [ProcessFact]
    public async Task Who_starts_the_demo_is_told_that_it_is_one_and_what_would_fit()
    {
        using ServerProcess server = await ServerProcess.StartAsync();
        Assert.Contains("understory-demo: 4.74 million parameters, context of 1,024 tokens; chats", server.Output);
        Assert.Contains("not what a model can do", server.Output);
        string[] commands = [.. server.Output.Split('\n').Where(line => line.Contains("understory pull ", StringComparison.Ordinal))];
        int fitting = SuggestedModel.For(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes).Count;
        Assert.Equal(fitting, commands.Length);

        Copy(Standin.Target, "mine");
        using ServerProcess own = await ServerProcess.StartAsync("--model", Path.Combine(_folder, "mine"));
        Assert.Contains("mine: 2.76 million parameters", own.Output);
        Assert.DoesNotContain("pull", own.Output);
    }

    [ProcessFact]
    public async Task An_error_names_whoever_named_the_model()
    {
        (int code, _, string errors) = await ServerProcess.RunAsync(["info"], variables: ("UNDERSTORY_MODEL", "/nowhere/at-all"));
        Assert.Equal(1, code);
        IsOneLine(errors, "UNDERSTORY_MODEL: there is no '/nowhere/at-all'");
        Assert.DoesNotContain("--model", errors);
    }

    [ProcessFact]
    public async Task Help_of_a_verb_lists_what_it_takes_and_nothing_else()
    {
        foreach ((string verb, string[] takes, string[] not) in new (string, string[], string[])[]
        {
            ("serve", [.. OptionCatalog.All.Select(option => option.Flag)], []),
            ("pull", ["--draft"], ["--model <", "--kv", "--port"]),
            ("health", ["--host", "--port"], ["--model", "--api-key"]),
            ("ngram", ["--draft", "--threads", "--out"], ["--model <", "--kv", "--port"]),
            ("chat", ["--model", "--kv", "--system"], ["--port", "--alias"]),
            ("complete", ["--model", "--kv", "--stop"], ["--port", "--alias"]),
        })
        {
            (int code, string output, _) = await ServerProcess.RunAsync([verb, "--help"]);
            Assert.Equal(0, code);
            Assert.All(takes, flag => Assert.Contains(flag, output));
            Assert.All(not, flag => Assert.DoesNotContain(flag, output));
        }
    }
}
