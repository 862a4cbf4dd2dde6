using System.Diagnostics;
using System.Text.Json.Nodes;

namespace Understory.Server.Tests.Clients;

/// <summary>A script beside this file's folder <c>node</c>, run as a process of its own; it prints one JSON object.</summary>
internal static class NodeScript
{
    public static async Task<JsonNode> RunAsync(string script, string address)
    {
        var start = new ProcessStartInfo("node", [script, address])
        {
            WorkingDirectory = NodeFactAttribute.Folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process node = Process.Start(start)!;
        Task<string> errors = node.StandardError.ReadToEndAsync();
        string output = await node.StandardOutput.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(2));
        Assert.True(output.Length > 0, await errors);
        return JsonNode.Parse(output)!;
    }
}
