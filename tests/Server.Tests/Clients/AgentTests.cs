using System.Diagnostics;
using System.Text.Json;

namespace Understory.Server.Tests.Clients;

/// <summary>
/// Coding agents as they are installed, through a whole tool loop: server and agent run in a network namespace that has loopback alone,
/// against a model that calls the agent's shell once and then says what came of it.
/// </summary>
public sealed class AgentTests : IDisposable
{
    private const string Said = "The tool has run.";
    private const string Ran = "tool-has-run.txt";

    /// <summary>One token where no tool has answered yet, 500 afterwards: each is where a text of the model begins.</summary>
    private const string Template = "{# <tool_call> #}{% set ns = namespace(n=1) %}{% for m in messages %}{% if m.role == 'tool' or "
        + "'<tool_response>' in m.content %}{% set ns.n = 500 %}{% endif %}{% endfor %}{{ '<|im_start|>' * ns.n }}";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("understory-agent-");

    public void Dispose() => _folder.Delete(recursive: true);

    [AgentFact("codex")]
    public async Task Codex_runs_a_whole_tool_loop() => await LoopAsync(
        "exec_command", "cmd",
        "codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox -m demo -c model_provider=understory "
            + "-c 'model_providers.understory={name=\"Understory\",base_url=\"http://127.0.0.1:8080/v1\",wire_api=\"responses\"}' "
                + "\"$ASK\"");

    [AgentFact("opencode")]
    public async Task Opencode_runs_a_whole_tool_loop()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "opencode.json"),
            """
            {
              "autoupdate": false, "share": "disabled", "permission": {"*": "allow"},
              "provider": {"understory": {"npm": "@ai-sdk/openai-compatible", "options": {"baseURL": "http://127.0.0.1:8080/v1"},
                "models": {"demo": {}}}}
            }
            """);
        await LoopAsync("bash", "command", "opencode run -m understory/demo \"$ASK\"");
    }

    [AgentFact("qwen")]
    public async Task Qwen_code_runs_a_whole_tool_loop() => await LoopAsync(
        "run_shell_command", "command",
        "env OPENAI_API_KEY=unused OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_MODEL=demo qwen --auth-type openai -y -p \"$ASK\"");

    /// <param name="tool">The agent's shell, and its argument that holds the command.</param>
    private async Task LoopAsync(string tool, string argument, string agent)
    {
        string model = Path.Combine(_folder.FullName, "demo");
        var arguments = new Dictionary<string, string> { [argument] = $"echo ran > {Ran}", ["description"] = "Writes a file" };
        ScriptedModel.Make(model, Template, new Dictionary<int, string>
        {
            [0] = $"<tool_call>\n{{\"name\": \"{tool}\", \"arguments\": {JsonSerializer.Serialize(arguments)}}}\n</tool_call>",
            [499] = Said,
        });
        string script = Path.Combine(_folder.FullName, "run.sh");
        await File.WriteAllTextAsync(script,
            $"""
            cd '{_folder.FullName}'
            export HOME="$PWD/home" PATH='{Path.Combine(AgentFactAttribute.Folder, "node_modules", ".bin")}':"$PATH" ASK='Run the tool.'
            unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy ALL_PROXY
            mkdir -p "$HOME"
            '{Path.Combine(AppContext.BaseDirectory, "understory")}' --model demo --draft none --ngram none --tool-format hermes \
              > server.out 2> server.err &
            server=$!
            for i in $(seq 1200); do grep -q Listening server.out && break; sleep 0.1; done
            timeout 240 {agent} < /dev/null > agent.out 2> agent.err
            echo "status $?" >> agent.err
            kill $server
            """);
        var start = new ProcessStartInfo("bwrap",
            ["--dev-bind", "/", "/", "--unshare-net", "--unshare-pid", "/bin/sh", script])
        { RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        string errors = await process.StandardError.ReadToEndAsync().WaitAsync(TimeSpan.FromMinutes(8));
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));
        string told = errors + string.Join('\n', _folder.EnumerateFiles("*.*").Where(file => file.Extension is ".out" or ".err")
            .Select(file => $"{file.Name}: {File.ReadAllText(file.FullName)}"));
        Assert.True(File.Exists(Path.Combine(_folder.FullName, Ran)), told);
        Assert.Contains(Said, told);
    }
}

/// <summary>Needs bwrap and, from npm, the agent.</summary>
public sealed class AgentFactAttribute : FactAttribute
{
    /// <param name="program">The agent's command.</param>
    public AgentFactAttribute(string program)
    {
        if (!OperatingSystem.IsLinux() || !Tools.Has("bwrap"))
        {
            Skip = "bwrap (Debian's bubblewrap) is not installed: it keeps the agent from the network.";
        }
        else if (!File.Exists(Path.Combine(Folder, "node_modules", ".bin", program)))
        {
            Skip = $"{program} is not installed: run npm install in tests/Server.Tests/Clients/agents.";
        }
        else if (!CanUnshare())
        {
            Skip = "bwrap may not make a network namespace here.";
        }
    }

    /// <summary>Where the agents are installed.</summary>
    public static string Folder { get; } = Path.Combine(Tools.Root, "tests", "Server.Tests", "Clients", "agents");

    private static bool CanUnshare()
    {
        using Process process = Process.Start("bwrap", ["--dev-bind", "/", "/", "--unshare-net", "--unshare-pid", "true"]);
        process.WaitForExit();
        return process.ExitCode == 0;
    }
}
