namespace Understory.Gpu;

/// <summary>Something that must hold, or a figure to take.</summary>
/// <param name="Name">By which it runs alone.</param>
/// <param name="NotEmulated">Why it is skipped on an emulated device; null: it runs there too.</param>
internal sealed record Check(string Name, Action<CheckRun> Run, string? NotEmulated = null)
{
    public const string Timed = "a time on an emulated device says nothing";
    public const string Large = "too large for an emulated device";
}

/// <summary>Checks with a time limit for all of them.</summary>
/// <param name="Together">Several processes at a time: what is right does not depend on it, what is timed would.</param>
internal sealed record Stage(int Number, string Title, int Seconds, bool Together, Check[] Checks)
{
    /// <summary>What a device is first asked, in at most <see cref="FirstSeconds"/>, the second runs of failed checks included.</summary>
    public static Stage[] First { get; } =
    [
        new(0, "the device", 15, Together: false, DeviceChecks.All),
        new(1, "every kernel against the CPU", 50, Together: true,
            [DeviceChecks.CompilePtx, .. ProductChecks.All, .. RowChecks.All, .. AttentionChecks.All, .. DecisionChecks.All]),
        new(2, "pass times", 45, Together: false,
        [
            new("pass_gpt2_large", run => Figures.Passes(run, Figures.Gpt2Large, [1, 8, 2, 4, 16, 32, 64, 24, 48, 256]), Check.Timed),
            new("pass_draft_40m", run => Figures.Passes(run, Figures.Draft40M, [1, 8, 32]), Check.Timed),
        ]),
        new(3, "models", 60, Together: true, ModelChecks.All),
        new(4, "the pair with the oracle", 50, Together: false,
        [
            new("oracle_pair", run => Texts.OraclePair(run, prompts: 1), Check.Timed),
            new("bench_greedy", run => Bench.Run(run, temperature: 0, prompts: 2, repeats: 1), Check.Timed),
        ]),
    ];

    public const int FirstSeconds = 240;

    /// <summary>What takes longer: the figures that stand beside the peers'.</summary>
    public static Stage[] Second { get; } =
    [
        new(5, "longer figures", 240, Together: false,
        [
            new("pass_gpt2_large", run => Figures.Passes(run, Figures.Gpt2Large, [1, 8, 32]), Check.Timed),
            new("pass_llama_8b", run => Figures.Passes(run, Figures.Llama8B, [1, 8, 32, 64], prefill: 2048), Check.Timed),
            new("product_times", Figures.Products, Check.Timed),
            new("bench_greedy", run => Bench.Run(run, temperature: 0, prompts: 6, repeats: 3), Check.Timed),
            new("bench_t1", run => Bench.Run(run, temperature: 1, prompts: 6, repeats: 3), Check.Timed),
        ]),
    ];

    public const int SecondSeconds = 240;

    public static Check? Find(string name) =>
        First.Concat(Second).SelectMany(stage => stage.Checks).FirstOrDefault(check => check.Name == name);
}
