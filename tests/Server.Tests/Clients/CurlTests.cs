using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Clients;

/// <summary>curl, a process, against the program, another one: nothing in between but the wire.</summary>
public sealed class CurlTests
{
    [CurlFact]
    public async Task Every_generation_endpoint_answers_and_streams_to_curl()
    {
        using ServerProcess server = await ServerProcess.StartAsync("--api-key", "secret");
        string root = server.Client.BaseAddress!.ToString().TrimEnd('/');
        const string Turn = "\"messages\": [{\"role\": \"user\", \"content\": \"def add(a, b):\"}]";
        foreach (
            (string path, string header, string fields, string text, string last) in (IEnumerable<(string, string, string, string, string)>)
            [("/v1/completions", "Authorization: Bearer secret", "\"prompt\": \"def add(a, b):\", \"max_tokens\": 8", "choices.0.text",
                "data: [DONE]"),
            ("/v1/chat/completions", "Authorization: Bearer secret", $"{Turn}, \"max_tokens\": 8", "choices.0.message.content",
                "data: [DONE]"),
            ("/v1/responses", "Authorization: Bearer secret", "\"input\": \"def add(a, b):\", \"max_output_tokens\": 8",
                "output.0.content.0.text", "event: response.incomplete"),
            ("/v1/messages", "x-api-key: secret", $"{Turn}, \"max_tokens\": 8", "content.0.text", "data: {\"type\":\"message_stop\"}")])
        {
            string[] post = ["-sS", "-i", "-H", "Content-Type: application/json", "-H", header, $"{root}{path}", "-d"];
            (string head, string body) = await RunAsync([.. post, $"{{{fields}, \"temperature\": 0}}"]);
            Assert.StartsWith("HTTP/1.1 200 ", head);
            JsonNode? found = text.Split('.')
                .Aggregate(JsonNode.Parse(body), (node, name) => int.TryParse(name, out int index) ? node![index] : node![name]);
            Assert.NotEmpty((string)found!);

            (head, body) = await RunAsync(["-N", .. post, $"{{{fields}, \"temperature\": 0, \"stream\": true}}"]);
            Assert.Contains("Content-Type: text/event-stream", head);
            Assert.Contains(last, body.Split('\n').Where(line => line.Length > 0).TakeLast(2)
                .Select(line => line[..Math.Min(line.Length, last.Length)]));

            (head, body) = await RunAsync([.. post.Where(argument => argument != header).Where((argument, i) => i != 4), "{}"]);
            Assert.StartsWith("HTTP/1.1 401 ", head);
            Assert.Equal("authentication_error", (string)JsonNode.Parse(body)!["error"]!["type"]!);
        }
    }

    /// <summary>What curl printed: the header, and the body.</summary>
    private static async Task<(string Head, string Body)> RunAsync(string[] arguments)
    {
        using Process curl =
            Process.Start(new ProcessStartInfo("curl", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> errors = curl.StandardError.ReadToEndAsync();
        string output = await curl.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(3));
        await curl.WaitForExitAsync();
        Assert.True(curl.ExitCode == 0, await errors);
        string[] parts = output.Split("\r\n\r\n", 2);
        return (parts[0], parts[1]);
    }
}

/// <summary>Needs curl, and the program's own executable.</summary>
public sealed class CurlFactAttribute : FactAttribute
{
    public CurlFactAttribute()
    {
        if (OperatingSystem.IsWindows() || !Tools.Has("curl"))
        {
            Skip = "curl is not installed.";
        }
    }
}
