using System.Text.Json.Nodes;

namespace Understory.Gpu.Tests;

/// <summary>Whatever a check does, it is reported and the rest goes on. The checks here are lines of a shell.</summary>
public sealed class SupervisorTests : IDisposable
{
    private const string Held = """echo '{"status":"held","found":{"summary":"fine"}}' > $FILE""";
    private const string Wrong = """echo '{"status":"wrong","error":"0.5 where 1 was expected"}' > $FILE; exit 1""";

    private readonly string _folder = Directory.CreateTempSubdirectory("supervisor").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task When_every_check_holds_the_exit_code_is_0()
    {
        Assert.Equal(0, await Run(("one", Held), ("two", Held)));
        Assert.Equal(["one held", "two held"], Results());
        Assert.Contains("Every check held.", Summary(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_check_is_named_runs_again_without_overlap_and_graphs_and_makes_the_exit_code_1()
    {
        Assert.Equal(1, await Run(("one", Held), ("two", Wrong), ("three", Held)));
        Assert.Equal(["one held", "two wrong", "three held", "two (no-overlap) wrong", "two (no-overlap,no-graphs) wrong"], Results()[..5]);
        Assert.Contains("0.5 where 1 was expected", Summary(), StringComparison.Ordinal);
        Assert.EndsWith("Failed: two\n", Summary(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_check_that_goes_right_without_overlap_says_so()
    {
        await Run(("one", $"if [ \"$UNDERSTORY_CUDA\" = no-overlap ]; then {Held}; else {Wrong}; fi"));
        Assert.Contains("one (no-overlap) held", Results());
    }

    [Fact]
    public async Task A_process_that_crashes_leaves_what_it_had_found_and_the_rest_goes_on()
    {
        const string Crash = """echo '{"status":"stopped","found":{"half":7}}' > $FILE; echo 'about to fall' >&2; kill -SEGV $$""";
        Assert.Equal(1, await Run(("one", Crash), ("two", Held)));
        Assert.Equal(["one crashed", "two held"], Results()[..2]);
        JsonObject first = Lines()[0];
        Assert.Contains("signal 11", (string?)first["error"], StringComparison.Ordinal);
        Assert.Equal(7, (int?)first["found"]!["half"]);
        Assert.Contains("about to fall", File.ReadAllText(Path.Combine(_folder, "log.txt")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_fault_of_the_device_is_told_from_a_wrong_number_and_runs_again_a_launch_at_a_time()
    {
        const string Fault = """echo '{"status":"fault","error":"illegal address","last_launches":["parts"]}' > $FILE; exit 4""";
        Assert.Equal(1, await Run(("one", Fault), ("two", Held)));
        Assert.Equal(["one fault", "two held", "one (synchronous,no-overlap,no-graphs) fault", "one (no-overlap) fault"], Results()[..4]);
        Assert.Equal("parts", (string?)Lines()[0]["last_launches"]![0]);
        Assert.Contains("illegal address, behind parts", Summary(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_check_that_hangs_is_stopped_when_the_stage_s_time_is_up_and_the_next_stage_runs()
    {
        Stage[] stages = [Stage(0, 3, ("one", "sleep 60"), ("two", Held)), Stage(1, 20, ("three", Held))];
        Assert.Equal(1, await Supervisor().RunAsync(stages, 9));
        Assert.Equal(["one too slow", "two not run", "three held"], Results()[..3]);
    }

    [Fact]
    public async Task Without_a_device_nothing_else_runs_and_the_exit_code_is_3()
    {
        Assert.Equal(3, await Run(("one", """echo '{"status":"no device","error":"none"}' > $FILE; exit 3"""), ("two", Held)));
        Assert.Empty(Results());
    }

    [Fact]
    public async Task A_skipped_check_keeps_its_reason_and_does_not_fail()
    {
        Assert.Equal(0, await Run(("one", """echo '{"status":"skipped","error":"not here"}' > $FILE""")));
        Assert.Contains("not here", Summary(), StringComparison.Ordinal);
    }

    /// <summary>The line of the shell, by the check's name.</summary>
    private readonly Dictionary<string, string> _lines = [];

    private Supervisor Supervisor() =>
        new((check, file) => ["/bin/sh", "-c", $"FILE='{file}'; {_lines[check.Name]}"], _folder, emulated: false);

    private Stage Stage(int number, int seconds, params (string Name, string Line)[] checks)
    {
        foreach ((string name, string line) in checks)
        {
            _lines[name] = line;
        }

        return new Stage(number, "test", seconds, Together: false, [.. checks.Select(check => new Check(check.Name, _ => { }))]);
    }

    private Task<int> Run(params (string Name, string Line)[] checks) => Supervisor().RunAsync([Stage(0, 60, checks)], 60);

    private JsonObject[] Lines() =>
        [.. File.ReadLines(Path.Combine(_folder, "results.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject())];

    private string[] Results() =>
        [.. Lines().Select(line => $"{line["check"]}{(line["again"] is { } again ? $" ({again})" : "")} {line["status"]}")];

    private string Summary() => File.ReadAllText(Path.Combine(_folder, "summary.txt"));
}
