using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Clients;

/// <summary>OpenAI's and Anthropic's official JavaScript clients, unchanged, on responses and messages.</summary>
[Collection(DemoCollection.Name)]
public sealed class ChatApiNodeTests(DemoServer server)
{
    [NodeFact]
    public async Task Responses_work_plain_streamed_continued_refused_and_abandoned()
    {
        JsonNode seen = await NodeScript.RunAsync("responses.mjs", new Uri(server.Address, "/v1").ToString());
        Assert.NotEmpty((string)seen["plain"]!);
        foreach (string way in (string[])["streamed", "last", "final"])
        {
            Assert.Equal((string)seen["plain"]!, (string)seen[way]!);
        }

        string[] types = [.. seen["types"]!.AsArray().Select(type => (string)type!)];
        Assert.Equal("response.created", types[0]);
        Assert.Equal($"response.{(string)seen["status"]!}", types[^1]);
        Assert.Equal((string)seen["status"]!, (string)seen["finalStatus"]!);
        Assert.Equal((int)seen["usage"]!, (int)seen["finalUsage"]!);
        Assert.True((int)seen["timings"]! > 0);
        Assert.InRange((int)seen["next"]!, 1, 4);
        Assert.Contains((string)seen["parsed"]!["kind"]!, (string[])["int", "str"]);
        Assert.Contains(seen["parsed"]!["nullable"]!.ToJsonString(), (string[])["true", "false"]);
        Assert.Equal((400, "previous_response_id", "BadRequestError"),
            ((int)seen["refusal"]!["status"]!, (string)seen["refusal"]!["param"]!, (string)seen["refusal"]!["name"]!));
        Assert.Equal((404, "NotFoundError"), ((int)seen["missing"]!["status"]!, (string)seen["missing"]!["name"]!));
        Assert.Equal(1, (int)seen["after"]!);
    }

    [NodeFact("@anthropic-ai/sdk")]
    public async Task Messages_work_plain_streamed_stopped_refused_and_abandoned()
    {
        JsonNode seen = await NodeScript.RunAsync("messages.mjs", server.Address.ToString());
        string plain = (string)seen["plain"]!;
        Assert.NotEmpty(plain);
        Assert.Equal((plain, plain), ((string)seen["streamed"]!, (string)seen["final"]!));
        Assert.Equal((string)seen["reason"]!, (string)seen["finalReason"]!);
        Assert.Equal((int)seen["usage"]!, (int)seen["finalUsage"]!);
        Assert.Equal((int)seen["input"]!, (int)seen["count"]!);
        string[] types = [.. seen["types"]!.AsArray().Select(type => (string)type!)];
        Assert.Equal(("message_start", "message_stop"), (types[0], types[^1]));
        string stop = (string)seen["stop"]!;
        Assert.Equal(("stop_sequence", stop), ((string)seen["stoppedReason"]!, (string)seen["stoppedBy"]!));
        Assert.Equal(plain[..plain.IndexOf(stop, StringComparison.Ordinal)], (string)seen["stopped"]!);
        Assert.Equal((400, "invalid_request_error", "BadRequestError"),
            ((int)seen["refusal"]!["status"]!, (string)seen["refusal"]!["type"]!, (string)seen["refusal"]!["name"]!));
        Assert.StartsWith("req_", (string)seen["refusal"]!["requestId"]!);
        Assert.StartsWith("req_", (string)seen["requestId"]!);
        Assert.Equal(1, (int)seen["after"]!);
    }
}
