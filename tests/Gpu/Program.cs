using System.Diagnostics;
using System.Text.Json.Nodes;
using Understory.Gpu;
using Understory.Models.Kernels.Cuda;
using Understory.Models.Kernels.Cuda.Driver;

// gpu-checks OUT.json [MODELS] [PROMPTS.jsonl] [quick]: checks and times the CUDA kernels on device 0 and writes what was found after each step,
// so that a run that is cut short leaves what it has. Exit code 0: every check held; 1: one did not; 3: there is no usable GPU.
string output = args.Length > 0 ? args[0] : "gpu.json";
string models = args.Length > 1 ? args[1] : "models/demo";
string? prompts = args.Length > 2 && File.Exists(args[2]) ? args[2] : null;
bool quick = args.Contains("quick");
var report = new JsonObject { ["time"] = DateTime.UtcNow.ToString("s"), ["failed"] = new JsonArray(), ["peers"] = new JsonObject { ["absent"] = "peers.py did not run: python3 with torch and CUDA is needed" } };
bool sound = true;

CudaKernels kernels;
long start = Stopwatch.GetTimestamp();
try
{
    kernels = new CudaKernels(new NativeDriver(0), overlap: !args.Contains("no-overlap"), record: !args.Contains("no-graphs"));
}
catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException or CudaException)
{
    Console.Error.WriteLine($"No usable GPU: {e.Message.Split('\n')[0]}");
    return 3;
}

using (kernels)
{
    CudaDeviceInfo device = kernels.Device;
    report["device"] = new JsonObject
    {
        ["name"] = device.Name,
        ["capability"] = $"{device.Major}.{device.Minor}",
        ["multiprocessors"] = device.Multiprocessors,
        ["memory_bytes"] = device.MemoryBytes,
        ["l2_bytes"] = device.L2Bytes,
        ["driver"] = device.DriverVersion,
        ["start_seconds"] = Stopwatch.GetElapsedTime(start).TotalSeconds,
    };
    Step("self_check", () => CudaSelfCheck.Run(kernels) is { } difference ? throw new CheckFailedException(difference) : new JsonObject());
    double bandwidth = 0;
    Step("copy_bandwidth", () =>
    {
        bandwidth = kernels.MeasureBandwidth(2L << 30);
        return new JsonObject { ["bytes_per_second"] = bandwidth };
    });
    Step("products", () => Checks.Products(kernels));
    Step("product_times", () => Figures.Products(kernels));
    Step("model_logits", () => Checks.Logits(kernels, models));
    Step("batch_invariance", () => Checks.BatchInvariance(kernels));
    Step("pass_gpt2_large", () => Figures.Passes(kernels, Figures.Gpt2Large, bandwidth, [1, 2, 4, 8, 16, 24, 32, 48, 64, 256]));
    Step("pass_draft_40m", () => Figures.Passes(kernels, Figures.Draft40M, bandwidth, [1, 8, 32]));
    Step("texts", () => Texts.OffAndOn(kernels, models, prompts, quick ? 4 : int.MaxValue));
    Step("oracle_pair", () => Texts.OraclePair(kernels, models, quick ? 1 : 3));
    if (Bench.Executable is { } bench)
    {
        Step("bench_greedy", () => Bench.Run(bench, models, temperature: 0, quick ? 2 : 24));
        Step("bench_t1", () => Bench.Run(bench, models, temperature: 1, quick ? 2 : 24));
    }

    if (!quick)
    {
        Step("pass_llama_8b", () => Figures.Passes(kernels, Figures.Llama8B, bandwidth, [1, 8, 32, 64], prefill: 2048));
    }
}

Save();
Console.WriteLine(sound ? "Every check held." : $"Failed: {string.Join(", ", report["failed"]!.AsArray().Select(name => (string?)name))}");
return sound ? 0 : 1;

void Step(string name, Func<JsonObject> run)
{
    long begin = Stopwatch.GetTimestamp();
    Console.WriteLine($"{name} ...");
    JsonObject found;
    try
    {
        found = run();
        found["ok"] = true;
    }
    catch (Exception e) when (e is not OutOfMemoryException || e is InsufficientMemoryException)
    {
        sound = false;
        report["failed"]!.AsArray().Add((JsonNode)name);
        found = new JsonObject { ["ok"] = false, ["error"] = e is CheckFailedException ? e.Message : e.ToString() };
    }

    found["seconds"] = Stopwatch.GetElapsedTime(begin).TotalSeconds;
    report[name] = found;
    Console.WriteLine(found.ToJsonString());
    Save();
}

void Save() => File.WriteAllText(output, report.ToJsonString() + "\n");
