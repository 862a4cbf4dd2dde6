using System.Text.Json.Nodes;

namespace Understory.Shipping.Tests.Packages;

/// <summary>Every form in which the program is given away, made as the README says, started where it does not know its way about.</summary>
public sealed class PackageTests : IDisposable
{
    private static readonly string _project = Path.Combine(Tools.Root, "src", "Server");
    private readonly string _folder = Directory.CreateTempSubdirectory("understory").FullName;

    public PackageTests() => Open(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [ProgramFact("dotnet", "bash")]
    public async Task The_image_runs_read_only_as_a_stranger_and_only_with_a_key()
    {
        string image = Path.Combine(_folder, "image");
        await Daemon.DoAsync(Path.Combine(Tools.Root, "docker", "build-image.sh"), [image]);
        string program = Path.Combine(image, "app", "understory");
        Assert.True(Directory.Exists(Path.Combine(image, "models")));
        Assert.All(
            Directory.EnumerateFileSystemEntries(Path.Combine(image, "app"), "*", SearchOption.AllDirectories),
            entry => Assert.Equal(UnixFileMode.None,
                File.GetUnixFileMode(entry) & (UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)));

        // As the Dockerfile says: its variables, its user, its check.
        string dockerfile = File.ReadAllText(Path.Combine(Tools.Root, "Dockerfile"));
        (string Name, string? Value)[] variables = [.. Dockerfile.Variables(dockerfile), ("UNDERSTORY_PORT", Tools.FreePort().ToString())];
        string[] serve = [.. Dockerfile.List(dockerfile, "ENTRYPOINT"), .. Dockerfile.List(dockerfile, "CMD")];
        string[] check = Dockerfile.List(dockerfile, "HEALTHCHECK");
        Assert.Equal(["/app/understory", "/app/understory"], [serve[0], check[0]]);

        (string user, string[] before) = Stranger(dockerfile);
        (int code, string output) = await Daemon.RunAsync(user, [.. before, program, .. serve[1..]], _folder, variables);
        Assert.Equal(2, code);
        Assert.Contains("--api-key", output);
        (code, _) = await Daemon.RunAsync(user, [.. before, program, .. check[1..]], _folder, variables);
        Assert.Equal(1, code);

        string key = Path.Combine(_folder, "key");
        File.WriteAllText(key, "sesame\n");
        variables = [.. variables, ("UNDERSTORY_API_KEY_FILE", key)];
        using RunningServer server =
            await RunningServer.StartAsync(user, [.. before, program, .. serve[1..]], _folder, "sesame", variables);
        Assert.Contains("\"ok\"", await Daemon.DoAsync(user, [.. before, program, .. check[1..]], _folder, variables));
        await CompletesAsync(server);
        using var anonymous = new HttpClient { BaseAddress = server.Address };
        Assert.Equal(System.Net.HttpStatusCode.Unauthorized, (await anonymous.GetAsync("/v1/models")).StatusCode);
    }

    [ProgramFact("dotnet")]
    public async Task A_single_file_runs_where_there_is_no_NET_and_Windows_and_Linux_each_have_one()
    {
        string build = Path.Combine(_folder, "build");
        foreach ((string platform, string program, string magic) in new[] { ("linux-x64", "understory", "\u007fELF"),
            ("win-x64", "understory.exe", "MZ") })
        {
            string given = Path.Combine(_folder, platform);
            await Daemon.DoAsync(
                "dotnet",
                ["publish", _project, "-c", "Release", "-r", platform, "--self-contained", "-p:PublishSingleFile=true", "--artifacts-path",
                    build, "-o", given, "-nologo", "-clp:ErrorsOnly"]);
            string path = Path.Combine(given, program);
            byte[] start = new byte[magic.Length];
            using (FileStream file = File.OpenRead(path))
            {
                file.ReadExactly(start);
            }

            Assert.Equal(magic, System.Text.Encoding.Latin1.GetString(start));
            // What is left beside it on Windows is the module of a web server that is not used.
            Assert.DoesNotContain(Directory.EnumerateFiles(given, "*.dll"), file => Path.GetFileName(file) != "aspnetcorev2_inprocess.dll");
            Assert.True(File.Exists(Path.Combine(given, "models", "demo", "target.gguf")));
        }

        string empty = Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName;
        using RunningServer server = await RunningServer.StartAsync(
            Path.Combine(_folder, "linux-x64", "understory"), ["--port", "0"], empty,
            variables: [("PATH", "/nowhere"), ("DOTNET_ROOT", null), ("HOME", empty)]);
        await CompletesAsync(server);
        Assert.Empty(Directory.EnumerateFileSystemEntries(empty));
    }

    [ProgramFact("dotnet")]
    public async Task A_portable_publish_runs_with_the_runtime_of_the_machine()
    {
        string given = Path.Combine(_folder, "portable");
        await Daemon.DoAsync("dotnet", ["publish", _project, "-c", "Release", "-o", given, "-nologo", "-clp:ErrorsOnly"]);
        using RunningServer server =
            await RunningServer.StartAsync("dotnet", [Path.Combine(given, "understory.dll"), "--port", "0"], _folder);
        await CompletesAsync(server);
    }

    [ProgramFact("dotnet")]
    public async Task A_tool_can_be_installed_from_its_package_and_brings_its_model()
    {
        string packages = Path.Combine(_folder, "packages");
        await Daemon.DoAsync("dotnet", ["pack", _project, "-c", "Release", "-o", packages, "-nologo", "-clp:ErrorsOnly"]);
        string package = Assert.Single(Directory.EnumerateFiles(packages, "*.nupkg"));
        string version = Path.GetFileNameWithoutExtension(package)["Understory.".Length..];
        string tools = Path.Combine(_folder, "tools");
        string settings = Path.Combine(_folder, "NuGet.Config");
        File.WriteAllText(settings,
            $"<configuration><packageSources><clear /><add key=\"here\" value=\"{packages}\" /></packageSources></configuration>");
        await Daemon.DoAsync("dotnet",
            ["tool", "install", "Understory", "--version", version, "--tool-path", tools, "--configfile", settings], _folder);
        using RunningServer server = await RunningServer.StartAsync(Path.Combine(tools, "understory"), ["--port", "0"], _folder);
        await CompletesAsync(server);
    }

    private static async Task CompletesAsync(RunningServer server)
    {
        JsonNode answer = await server.CompleteAsync("\"prompt\": \"def add(a, b):\", \"max_tokens\": 8, \"ignore_eos\": true");
        Assert.Equal(("understory-demo", 8), ((string)answer["model"]!, (int)answer["usage"]!["completion_tokens"]!));
    }

    /// <summary>The way to run a program as the Dockerfile's user, who owns nothing; where we are not root, as ourselves.</summary>
    private static (string Program, string[] Arguments) Stranger(string dockerfile)
    {
        string[] user = Dockerfile.Of(dockerfile, "USER").Split(':');
        Assert.All(user, id => Assert.True(int.Parse(id) > 0));
        return Environment.UserName == "root" && Tools.Has("setpriv")
            ? ("setpriv", ["--reuid", user[0], "--regid", user[1], "--clear-groups", "--no-new-privs"])
            : ("env", []);
    }

    private static void Open(string folder) => File.SetUnixFileMode(
        folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead
            | UnixFileMode.OtherExecute);
}
