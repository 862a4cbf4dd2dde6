using System.Text;
using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Anthropic;

/// <summary>A request of the kind that Claude Code sends in the middle of its work: made by hand after its shape.</summary>
public sealed class ClaudeCodeTests
{
    private const string Request =
        """
        {
          "model": "claude-sonnet-4-5", "max_tokens": 64, "stream": true, "temperature": 1,
          "system": [
            {"type": "text", "text": "You are a coding agent.", "cache_control": {"type": "ephemeral"}},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
          ],
          "metadata": {"user_id": "user_0_account__session_1"},
          "thinking": {"type": "adaptive"}, "output_config": {"effort": "high"},
          "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
          "tools": [
            {"name": "Bash", "description": "Runs a command.", "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema",
              "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"], "additionalProperties": false},
              "eager_input_streaming": true},
            {"name": "mcp__plugin_house-notes_house-notes-search__find_everything_that_is_written", "input_schema": {"type": "object"},
              "defer_loading": true, "cache_control": {"type": "ephemeral"}},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}
          ],
          "tool_choice": {"type": "auto"},
          "messages": [
            {"role": "user", "content": [{"type": "text", "text": "<system-reminder>today</system-reminder>"},
              {"type": "text", "text": "What is in the picture?"}]},
            {"role": "assistant", "content": [
              {"type": "thinking", "thinking": "I look.", "signature": "sig"}, {"type": "redacted_thinking", "data": "x"},
              {"type": "text", "text": "Looking."},
              {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "file a.png"}},
              {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "cat b"}}]},
            {"role": "user", "content": [
              {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "PNG"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
              {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": "no such file",
                "cache_control": {"type": "ephemeral"}}]}
          ]
        }
        """;

    [Fact]
    public async Task Its_request_is_answered_as_it_expects()
    {
        await using ScriptedServer server = await StartAsync();
        Task<HttpResponseMessage> asked = server.Client.SendAsync(Post("/v1/messages?beta=true", Request),
            HttpCompletionOption.ResponseHeadersRead);
        GenerationJob job = await server.TakeAsync();
        string prompt = ScriptedServer.PromptOf(job);
        foreach (string part in (string[])["You are a coding agent.\nBe brief.", "\"Bash\"", "find_everything_that_is_written", "Looking.",
            "file a.png", "PNG[A picture that this model cannot see]", "Error: no such file"])
        {
            Assert.Contains(part, prompt);
        }

        job.Send(new PromptRead(0, 0));
        ScriptedServer.Say(job, "<tool_call>{\"name\": \"Bash\", \"arguments\": {\"command\": \"ls\"}}</tool_call>");
        server.Finish(job);
        HttpResponseMessage response = await asked;
        Assert.Contains("web_search", response.Headers.GetValues("X-Understory-Warning").Single());
        List<JsonNode> events = await response.NamedEventsAsync();
        Assert.Equal("scripted", (string)events[0]["message"]!["model"]!);
        Assert.Equal("Bash", (string)events.Single(item => (string)item["type"]! == "content_block_start")["content_block"]!["name"]!);
        JsonNode ending = events.Single(item => (string)item["type"]! == "message_delta");
        Assert.Equal("tool_use", (string)ending["delta"]!["stop_reason"]!);
        Assert.Equal("{\"applied_edits\":[]}", ending["context_management"]!.ToJsonString());
    }

    [Fact]
    public async Task Its_tokens_are_counted()
    {
        await using ScriptedServer server = await StartAsync();
        JsonObject body = JsonNode.Parse(Request)!.AsObject();
        foreach (string name in (string[])["max_tokens", "stream", "temperature", "metadata"])
        {
            body.Remove(name);
        }

        JsonNode count = await (await server.Client.SendAsync(Post("/v1/messages/count_tokens?beta=true",
            body.ToJsonString()))).JsonAsync();
        Assert.True((int)count["input_tokens"]! > 100, count.ToJsonString());
    }

    private static Task<ScriptedServer> StartAsync() => ScriptedServer.StartAsync(
        model: ScriptedServer.Model(ScriptedServer.Renderer(null)) with { Aliases = ["*"] });

    private static HttpRequestMessage Post(string path, string body) => new(HttpMethod.Post, path)
    {
        Content = new StringContent(body, Encoding.UTF8, "application/json"),
        Headers =
        {
            { "anthropic-version", "2023-06-01" },
            { "anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27" },
            { "x-app", "cli" },
        },
    };
}
