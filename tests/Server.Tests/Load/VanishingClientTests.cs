using System.Text;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Load;

/// <summary>Clients that hang up at any byte of a request or of its answer, before a server that really decodes.</summary>
[Collection(DemoCollection.Name)]
public sealed class VanishingClientTests(DemoServer server)
{
    private const string Fields = "\"prompt\": \"def add(a, b):\", \"max_tokens\": 12, \"temperature\": 0.8, \"seed\": 3";

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_client_may_hang_up_at_any_byte_of_its_request(bool stream, bool reset)
    {
        string reference = await ReferenceAsync();
        byte[] request =
            Encoding.Latin1.GetBytes(RawConnection.Post("/v1/completions", $"{{{Fields}, \"stream\": {(stream ? "true" : "false")}}}"));
        for (int length = 0; length <= request.Length; length++)
        {
            RawConnection client = await RawConnection.OpenAsync(server.Address);
            await client.SendAsync(request.AsMemory(0, length));
            HangUp(client, reset);
        }

        await StillServesAsync(reference);
    }

    [Theory]
    [InlineData(false, 37)]
    [InlineData(true, 37)]
    public async Task A_client_may_hang_up_at_any_byte_of_the_answer(bool stream, int stride)
    {
        string reference = await ReferenceAsync();
        string request =
            RawConnection.Post("/v1/completions", $"{{{Fields}, \"stream\": {(stream ? "true" : "false")}}}", "Connection: close\r\n");
        int whole = (await RawConnection.ExchangeAsync(server.Address, request)).Length;

        // Every byte of the head, then here and there; the strides are prime to the length of lines.
        foreach (int length in Enumerable.Range(0, whole).Where(at => at < 300 || at % stride == 0))
        {
            RawConnection client = await RawConnection.OpenAsync(server.Address, receiveBuffer: 1024);
            await client.SendAsync(request);
            await client.ReadAsync(length);
            HangUp(client, reset: length % 2 == 0);
        }

        await StillServesAsync(reference);
    }

    private static void HangUp(RawConnection client, bool reset)
    {
        if (reset)
        {
            client.Reset();
        }
        else
        {
            client.Dispose();
        }
    }

    private async Task<string> ReferenceAsync() => (await server.TextsAsync(Fields)).Single();

    /// <summary>No place is stuck, nothing runs for nobody, and the answer is the same to the byte.</summary>
    private async Task StillServesAsync(string reference)
    {
        Assert.Equal(reference, await ReferenceAsync());
        await ScriptedServer.UntilAsync(() =>
            server.Client.GetStringAsync("/metrics").Result.Contains("understory_queue_depth 0\n", StringComparison.Ordinal));
        JsonNode answer = await server.CompleteAsync(Fields);
        Assert.Equal(12, (int)answer["usage"]!["completion_tokens"]!);
    }
}
