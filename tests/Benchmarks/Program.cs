using Understory.Benchmarks;

// Timings of the kernels alone: dotnet run -c Release --project tests/Benchmarks -- kernels [set] [threads] [width x layers ...]
// Loading a model: ... -- load path/to/model
// What constraints cost: ... -- masks path/to/tokenizer.json
if (args is ["masks", string tokenizer])
{
    MaskBench.Run(tokenizer);
    return 0;
}

if (args is ["load", string model])
{
    LoadBench.Run(model);
    return 0;
}

if (args is not ["kernels", ..])
{
    Console.Error.WriteLine("Usage: kernels [set|best] [threads|0] [768x12 192x4 ...], load MODEL, or: masks TOKENIZER.json");
    return 2;
}

string? set = args.Length > 1 && args[1] != "best" ? args[1] : null;
int threads = args.Length > 2 ? int.Parse(args[2]) : 0;
string[] shapes = args.Length > 3 ? args[3..] : ["768x12", "192x4", "64x2"];
KernelBench.Run(set, threads, shapes);
return 0;
