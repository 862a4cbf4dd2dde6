using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Clients;

/// <summary>The official JavaScript client, unchanged: completions and chat, plain and streamed.</summary>
[Collection(DemoCollection.Name)]
public sealed class OpenAiNodeTests(DemoServer server)
{
    [NodeFact]
    public async Task Completions_work_plain_streamed_refused_and_abandoned()
    {
        JsonNode seen = await NodeScript.RunAsync("completions.mjs", new Uri(server.Address, "/v1").ToString());
        Assert.NotEmpty((string)seen["plain"]!);
        Assert.Equal((string)seen["plain"]!, (string)seen["streamed"]!);
        Assert.Equal((string)seen["plain"]!, (string)seen["events"]!);
        Assert.Equal((string)seen["plainReason"]!, (string)seen["reason"]!);
        Assert.Equal((int)seen["plainUsage"]!, (int)seen["usage"]!);
        Assert.True((int)seen["timings"]! > 0);
        Assert.Equal((string)seen["chat"]!, (string)seen["chatStreamed"]!);
        Assert.Equal((400, "max_tokens", "BadRequestError"),
            ((int)seen["refusal"]!["status"]!, (string)seen["refusal"]!["param"]!, (string)seen["refusal"]!["name"]!));
        Assert.Equal(1, (int)seen["next"]!);

        // This client asks for base64 and decodes it, unless numbers are asked for.
        Assert.Equal(2, seen["vectors"]!.AsArray().Count);
        Assert.Equal(seen["numbers"]!.AsArray().Select(value => (float)value!), seen["vectors"]![0]!.AsArray()
            .Select(value => (float)value!));
        Assert.True((int)seen["embedded"]! > 0);
        Assert.Equal("def add(a, b):\n    # é 😀\n", (string)seen["echoed"]!["text"]!);
        Assert.Null(seen["echoed"]!["logprobs"]!["token_logprobs"]![0]);
        Assert.Equal(2, (int)seen["bestChoices"]!);
        Assert.InRange((int)seen["bestUsage"]!, 4, 96);
        Assert.Equal("understory-demo", (string)seen["model"]!);
    }
}

/// <summary>Needs node and, beside the script, what <c>npm install</c> put there.</summary>
public sealed class NodeFactAttribute : FactAttribute
{
    /// <param name="package">The npm package that the script needs.</param>
    public NodeFactAttribute(string package = "openai")
    {
        if (!Tools.Has("node"))
        {
            Skip = "node is not installed.";
        }
        else if (!Directory.Exists(Path.Combine(Folder, "node_modules", package)))
        {
            Skip = $"The npm package {package} is not installed: run npm install in tests/Server.Tests/Clients/node.";
        }
    }

    /// <summary>The script's folder in the source tree, where packages are installed.</summary>
    public static string Folder { get; } = Path.Combine(Tools.Root, "tests", "Server.Tests", "Clients", "node");
}
