using System.Text.Json;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests;

/// <summary>Answers, read back.</summary>
internal static class AnswerReading
{
    public static async Task<JsonNode> JsonAsync(this HttpResponseMessage response) =>
        JsonNode.Parse(await response.Content.ReadAsStringAsync()) ?? throw new JsonException("null");

    /// <summary>Checks OpenAI's error object and gives its message.</summary>
    public static async Task<string> ErrorAsync(this HttpResponseMessage response, int status, string? parameter = null,
        string? code = null)
    {
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(status == (int)response.StatusCode, $"{(int)response.StatusCode}: {text}");
        JsonNode error = JsonNode.Parse(text)!["error"]!;
        Assert.Equal(["code", "message", "param", "type"], error.AsObject().Select(field => field.Key).Order());
        Assert.Equal(parameter, (string?)error["param"]);
        if (code is not null)
        {
            Assert.Equal(code, (string?)error["code"]);
        }

        Assert.NotEmpty((string)error["type"]!);
        Assert.NotEmpty(response.Headers.GetValues("x-request-id").Single());
        return (string)error["message"]!;
    }

    /// <summary>The <c>data:</c> lines of an event stream, and the comments as they are.</summary>
    public static async IAsyncEnumerable<string> EventsAsync(this HttpResponseMessage response)
    {
        Assert.StartsWith("text/event-stream", response.Content.Headers.ContentType!.ToString());
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.Length > 0)
            {
                yield return line.StartsWith("data: ", StringComparison.Ordinal) ? line["data: ".Length..] : line;
                Assert.Equal("", await reader.ReadLineAsync());
            }
        }
    }

    /// <summary>All events of a finished stream whose events have names: the name is the body's type.</summary>
    public static async Task<List<JsonNode>> NamedEventsAsync(this HttpResponseMessage response)
    {
        Assert.StartsWith("text/event-stream", response.Content.Headers.ContentType!.ToString());
        var events = new List<JsonNode>();
        foreach (string item in (await response.Content.ReadAsStringAsync()).Split("\n\n", StringSplitOptions.RemoveEmptyEntries)
            .Where(item => item[0] != ':'))
        {
            string[] lines = item.Split('\n');
            Assert.Equal(2, lines.Length);
            JsonNode body = JsonNode.Parse(lines[1]["data: ".Length..])!;
            Assert.Equal($"event: {(string)body["type"]!}", lines[0]);
            events.Add(body);
        }

        return events;
    }

    /// <summary>All chunks of a finished stream, <c>[DONE]</c> checked and left out.</summary>
    public static async Task<List<JsonNode>> ChunksAsync(this HttpResponseMessage response)
    {
        var lines = new List<string>();
        await foreach (string line in response.EventsAsync())
        {
            lines.Add(line);
        }

        Assert.Equal("[DONE]", lines[^1]);
        return [.. lines[..^1].Where(line => line[0] != ':').Select(line => JsonNode.Parse(line)!)];
    }
}
