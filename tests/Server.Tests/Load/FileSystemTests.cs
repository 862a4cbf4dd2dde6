using System.Net;
using System.Text.RegularExpressions;

namespace Understory.Server.Tests.Load;

/// <summary>No path from a request reaches the file system.</summary>
public sealed partial class FileSystemTests
{
    /// <summary>What answers requests has no means to open a file.</summary>
    [Fact]
    public void Code_that_answers_requests_opens_no_files()
    {
        string source = Path.Combine(Tools.Root, "src", "Server");
        string[] folders = [.. Directory.EnumerateDirectories(source).Select(folder => Path.GetFileName(folder)!)
            .Except(["Hosting", "Hub", "Verbs", "Observability", "bin", "obj", "Properties"])];
        Assert.Contains("Endpoints", folders);
        Assert.Contains("OpenAi", folders);
        foreach (string file in folders.SelectMany(folder =>
            Directory.EnumerateFiles(Path.Combine(source, folder), "*.cs", SearchOption.AllDirectories)))
        {
            Match match = FileAccess().Match(File.ReadAllText(file));
            Assert.False(match.Success, $"{file}: {match.Value}");
        }
    }

    [Fact]
    public async Task Paths_that_climb_lead_nowhere()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        string secret = Path.Combine(Standin.Target, "config.json");
        string relative = Path.GetRelativePath(AppContext.BaseDirectory, secret);
        foreach (string climb in (string[])["..", "%2e%2e", "..%2f..", "%2e%2e%5c", "....//", "..;", "%00", "~", "."])
        {
            foreach (string target in (string[])[secret, "/etc/passwd", "appsettings.json", relative])
            {
                foreach (string root in (string[])["/", "/v1/models/", "/assets/", "/static/", "/openapi/", "/v1/"])
                {
                    string path = $"{root}{climb}/{climb}/{target.TrimStart('/')}";
                    string answer = await RawConnection.ExchangeAsync(server.App.Address,
                        $"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                    Assert.Matches("^HTTP/1.1 40[04] ", answer);
                    Assert.DoesNotContain("model_type", answer);
                    Assert.DoesNotContain("root:", answer);
                    Assert.DoesNotContain("Serilog", answer);
                }
            }
        }
    }

    [Fact]
    public async Task A_model_is_a_name_and_never_a_path()
    {
        await using ScriptedServer server = await ScriptedServer.StartAsync();
        foreach (
            string name in (string[])[Standin.Target, "../target", "/etc/passwd", "file:///etc/passwd", "scripted\\u0000", "./scripted"])
        {
            HttpResponseMessage answer = await server.PostAsync("/v1/completions", $"{{\"model\": \"{name}\", \"prompt\": \"x\"}}");
            Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        }
    }

    [GeneratedRegex(
        @"\b(File|Directory|FileInfo|DirectoryInfo|FileStream|StreamReader|StreamWriter|PhysicalFile\w*|"
            + @"UseStaticFiles|SendFileAsync|Process)\b(?=[.(])|new FileStream")]
    private static partial Regex FileAccess();
}
