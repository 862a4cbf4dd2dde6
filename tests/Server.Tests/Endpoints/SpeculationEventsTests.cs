using System.Net.Http.Headers;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Endpoints;

/// <summary><c>speculation_events</c> over HTTP, with the demo bundle.</summary>
[Collection(DemoCollection.Name)]
public sealed class SpeculationEventsTests(DemoServer server)
{
    private const string Prompt = "\"prompt\": \"def add(a, b):\\n    return\", \"ignore_eos\": true, \"seed\": 5";

    [Theory]
    [InlineData("\"temperature\": 0, \"max_tokens\": 60, \"speculation\": \"staged\"")]
    [InlineData("\"temperature\": 1, \"top_k\": 50, \"max_tokens\": 60, \"speculation\": \"draft\"")]
    [InlineData("\"temperature\": 1.8, \"max_tokens\": 200, \"speculation\": \"ngram\"")]
    [InlineData("\"temperature\": 1.8, \"max_tokens\": 200, \"speculation\": \"staged\", \"stop\": [\"e\\n\", \"\\n\\n\\n\", \"zzz\"]")]
    [InlineData("\"temperature\": 1, \"max_tokens\": 40, \"speculation\": \"off\", \"n\": 2")]
    public async Task Every_chunks_tokens_are_its_text_and_the_stream_says_what_a_plain_answer_says(string fields)
    {
        JsonNode plain = await server.CompleteAsync($"{Prompt}, {fields}");
        List<JsonNode> chunks = await StreamAsync("/v1/completions", $"{Prompt}, {fields}");
        int tokens = 0;
        foreach (JsonNode choice in plain["choices"]!.AsArray()!)
        {
            string text = "";
            int step = 0;
            foreach (JsonNode chunk in chunks.Where(chunk => (int)chunk["choices"]![0]!["index"]! == (int)choice["index"]!))
            {
                string piece = (string)chunk["choices"]![0]!["text"]!;
                text += piece;
                if (chunk["speculation"] is { } speculation)
                {
                    Assert.Equal(piece, string.Concat(speculation["tokens"]!.AsArray().Select(token => (string)token!["text"]!)));
                    Assert.Equal(++step, (int)speculation["step"]!);
                    tokens += speculation["tokens"]!.AsArray().Count(token => token!["continued"] is null);
                    CheckTree(speculation);
                }
            }

            Assert.Equal((string)choice["text"]!, text);
        }

        Assert.Equal((int)plain["usage"]!["completion_tokens"]!, tokens);
        Assert.Equal((int)chunks[^1]["timings"]!["target_passes"]!, chunks.Count(chunk => chunk["speculation"] is not null));
        Assert.Equal((int)chunks[^1]["timings"]!["draft_n"]!,
            chunks.Sum(chunk => chunk["speculation"]?["tree"]!["nodes"]!.AsArray().Count ?? 0));
        Assert.Equal(
            (int)chunks[^1]["timings"]!["draft_n_accepted"]!,
            chunks.Sum(chunk => chunk["speculation"]?["tree"]!["nodes"]!.AsArray().Count(node => (bool)node!["accepted"]!) ?? 0));
    }

    [Fact]
    public async Task Chat_chunks_carry_them_too()
    {
        const string Body = "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"max_tokens\": 30, \"seed\": 2, \"speculation\": "
            + "\"staged\", \"ignore_eos\": true";
        JsonNode plain = await (await server.PostAsync("/v1/chat/completions", $"{{{Body}}}")).JsonAsync();
        List<JsonNode> chunks = await StreamAsync("/v1/chat/completions", Body);
        Assert.Equal(
            (string)plain["choices"]![0]!["message"]!["content"]!,
            string.Concat(
                chunks.SelectMany(chunk => chunk["speculation"]?["tokens"]!.AsArray().Select(token => (string)token!["text"]!) ?? [])));
        Assert.Null(chunks[0]["speculation"]);
        Assert.All(chunks, chunk => Assert.Single(chunk["choices"]!.AsArray()));
    }

    [Theory]
    [InlineData("/v1/completions", "\"prompt\": \"x\"")]
    [InlineData("/v1/chat/completions", "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]")]
    public async Task Without_a_stream_they_are_refused_by_name(string path, string fields)
    {
        string message = await (await server.PostAsync(path, $"{{{fields}, \"speculation_events\": true}}"))
            .ErrorAsync(400, "speculation_events");
        Assert.Contains("\"stream\": true", message);
        await (await server.PostAsync(path, $"{{{fields}, \"speculation_events\": \"yes\"}}")).ErrorAsync(400, "speculation_events");
    }

    [Fact]
    public async Task Nobody_gets_them_unasked()
    {
        HttpResponseMessage response = await server.PostAsync("/v1/completions", $"{{{Prompt}, \"max_tokens\": 20, \"stream\": true}}");
        Assert.All(await response.ChunksAsync(), chunk => Assert.Null(chunk["speculation"]));
    }

    private async Task<List<JsonNode>> StreamAsync(string path, string fields)
    {
        HttpResponseMessage response = await server.PostAsync(path, $"{{{fields}, \"stream\": true, \"speculation_events\": true}}");
        Assert.Equal(new MediaTypeHeaderValue("text/event-stream", "utf-8"), response.Content.Headers.ContentType);
        return await response.ChunksAsync();
    }

    /// <summary>Rows are counted, every parent is there, the accepted nodes are one path, and times are parts of the whole.</summary>
    private static void CheckTree(JsonNode speculation)
    {
        JsonArray nodes = speculation["tree"]!["nodes"]!.AsArray();
        Assert.Equal(nodes.Count + 1, (int)speculation["rows"]!);
        int at = -1;
        for (int i = 0; i < nodes.Count; i++)
        {
            Assert.InRange((int)nodes[i]!["parent"]!, -1, i - 1);
            Assert.InRange((float)nodes[i]!["a"]!, 0, 1);
            Assert.Contains((string)nodes[i]!["stage"]!, (string[])["ngram", "draft"]);
            if ((bool)nodes[i]!["accepted"]!)
            {
                Assert.Equal(at, (int)nodes[i]!["parent"]!);
                at = i;
            }
        }

        Assert.Equal((int)speculation["committed"]!, nodes.Count(node => (bool)node!["accepted"]!) + 1);
        Assert.True((double)speculation["target_ms"]! + (double)speculation["draft_ms"]! <= (double)speculation["ms"]! + 0.001);
    }
}
