using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Understory.Server.Hosting;

namespace Understory.Server.Tests.Endpoints;

/// <summary><c>/v1/embeddings</c> with the demo bundle. (That the numbers are right is a test of decoding.)</summary>
[Collection(DemoCollection.Name)]
public sealed class EmbeddingsTests(DemoServer server)
{
    private async Task<JsonNode> EmbedAsync(string fields)
    {
        HttpResponseMessage response = await server.PostAsync("/v1/embeddings", $"{{{fields}}}");
        JsonNode body = await response.JsonAsync();
        Assert.True(response.IsSuccessStatusCode, body.ToJsonString());
        return body;
    }

    private static float[] Vector(JsonNode body, int index = 0) =>
        [.. body["data"]![index]!["embedding"]!.AsArray().Select(value => (float)value!)];

    [Fact]
    public async Task Inputs_together_have_the_vectors_of_each_alone_whatever_ran_in_between()
    {
        JsonNode together = await EmbedAsync("\"input\": [\"import os\", \"class A:\", \"é 😀\"]");
        Assert.Equal("list", (string)together["object"]!);
        Assert.Equal("understory-demo", (string)together["model"]!);
        Assert.Equal([0, 1, 2], together["data"]!.AsArray().Select(item => (int)item!["index"]!));
        await server.CompleteAsync("\"prompt\": \"import os\", \"max_tokens\": 5");
        Assert.Equal(Vector(together), Vector(await EmbedAsync("\"input\": \"import os\"")));
        Assert.Equal(Vector(together, 2), Vector(await EmbedAsync("\"input\": \"é 😀\"")));
        Assert.NotEqual(Vector(together), Vector(together, 1));
        Assert.Equal(192, Vector(together).Length);
    }

    [Fact]
    public async Task Token_ids_are_as_good_as_text_and_counted()
    {
        JsonNode tokens = await (await server.PostAsync("/tokenize", "{\"text\": \"for i in range(\"}")).JsonAsync();
        string ids = tokens["tokens"]!.ToJsonString();
        JsonNode text = await EmbedAsync("\"input\": \"for i in range(\"");
        Assert.Equal(Vector(text), Vector(await EmbedAsync($"\"input\": {ids}")));
        JsonNode twice = await EmbedAsync($"\"input\": [{ids}, {ids}]");
        Assert.Equal(Vector(text), Vector(twice, 1));
        Assert.Equal((int)tokens["count"]!, (int)text["usage"]!["prompt_tokens"]!);
        Assert.Equal(2 * (int)tokens["count"]!, (int)twice["usage"]!["total_tokens"]!);
    }

    [Fact]
    public async Task Base64_holds_the_same_numbers_and_fewer_dimensions_are_scaled_to_length_1()
    {
        float[] whole = Vector(await EmbedAsync("\"input\": \"import os\""));
        JsonNode packed = await EmbedAsync("\"input\": \"import os\", \"encoding_format\": \"base64\"");
        byte[] bytes = Convert.FromBase64String((string)packed["data"]![0]!["embedding"]!);
        Assert.Equal(whole, MemoryMarshal.Cast<byte, float>(bytes).ToArray());
        float[] few = Vector(await EmbedAsync("\"input\": \"import os\", \"dimensions\": 5"));
        double length = Math.Sqrt(whole.Take(5).Sum(value => (double)value * value));
        Assert.Equal(5, few.Length);
        Assert.All(whole.Take(5).Zip(few), pair => Assert.Equal(pair.First / length, pair.Second, 1e-6));
    }

    [Theory]
    [InlineData("\"user\": \"x\"", "input", "missing")]
    [InlineData("\"input\": \"\"", "input", "empty")]
    [InlineData("\"input\": [\"a\", \"\"]", "input[1]", "empty")]
    [InlineData("\"input\": [[]]", "input[0]", "empty")]
    [InlineData("\"input\": [4096]", "input", "4096")]
    [InlineData("\"input\": {}", "input", "an object")]
    [InlineData("\"input\": \"x\", \"dimensions\": 193", "dimensions", "from 1 to 192")]
    [InlineData("\"input\": \"x\", \"encoding_format\": \"hex\"", "encoding_format", "base64")]
    public async Task What_cannot_be_is_refused_by_name(string fields, string name, string named) =>
        Assert.Contains(named, await (await server.PostAsync("/v1/embeddings", $"{{{fields}}}")).ErrorAsync(400, name));

    [Fact]
    public async Task Text_as_long_as_the_context_fits_and_a_longer_one_is_refused()
    {
        JsonNode full = await EmbedAsync($"\"input\": [{string.Join(',', Enumerable.Repeat(5, 1024))}]");
        Assert.Equal(1024, (int)full["usage"]!["prompt_tokens"]!);
        HttpResponseMessage longer =
            await server.PostAsync("/v1/embeddings", $"{{\"input\": [{string.Join(',', Enumerable.Repeat(5, 1025))}]}}");
        await longer.ErrorAsync(400, "input", "context_length_exceeded");
    }

    [Fact]
    public async Task They_can_be_switched_off()
    {
        await using ScriptedServer off = await ScriptedServer.StartAsync(new ServerOptions { Embeddings = false });
        Assert.Contains("--embeddings", await (await off.PostAsync("/v1/embeddings", "{\"input\": \"x\"}"))
            .ErrorAsync(400, "model", "embeddings_unsupported"));
        Assert.Null((await (await off.Client.GetAsync("/props")).JsonAsync())["embedding_size"]);
    }
}
