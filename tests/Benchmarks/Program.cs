using Understory.Benchmarks;

// Timings of the kernels alone: dotnet run -c Release --project tests/Benchmarks -- kernels [set] [threads] [width x layers ...]
// Products with quantised weights: ... -- quantised [set|best] [form ...]
// A mixture of experts of real shape: ... -- experts [set|best] [threads]
// The recurrence of gated DeltaNet layers beside their products: ... -- recurrent [set|best] [threads]
// Attention over long texts by the type of keys and values: ... -- attention [set|best] [threads]
// Loading a model: ... -- load path/to/model
// What planning costs beside a pass of 90 us: ... -- planning
// What constraints cost: ... -- masks path/to/tokenizer.json
// What compiling hostile forms costs: ... -- forms path/to/tokenizer.json [part of a name]
switch (args)
{
    case ["masks", string tokenizer]:
        MaskBench.Run(tokenizer);
        return 0;
    case ["forms", string tokenizer, ..]:
        FormBench.Run(tokenizer, args.Length > 2 ? args[2] : null);
        return 0;
    case ["planning"]:
        PlanningBench.Run();
        return 0;
    case ["load", string model]:
        LoadBench.Run(model);
        return 0;
    case ["attention", ..]:
        AttentionBench.Run(args.Length > 1 && args[1] != "best" ? args[1] : null, args.Length > 2 ? int.Parse(args[2]) : 0);
        return 0;
    case ["experts", ..]:
        ExpertBench.Run(args.Length > 1 && args[1] != "best" ? args[1] : null, args.Length > 2 ? int.Parse(args[2]) : 0);
        return 0;
    case ["recurrent", ..]:
        RecurrentBench.Run(args.Length > 1 && args[1] != "best" ? args[1] : null, args.Length > 2 ? int.Parse(args[2]) : 0);
        return 0;
    case ["quantised", ..]:
        QuantisedBench.Run(args.Length > 1 && args[1] != "best" ? args[1] : null, args.Length > 2 ? args[2..] : []);
        return 0;
    case ["kernels", ..]:
        KernelBench.Run(
            args.Length > 1 && args[1] != "best" ? args[1] : null,
            args.Length > 2 ? int.Parse(args[2]) : 0,
            args.Length > 3 ? args[3..] : ["768x12", "192x4", "64x2"]);
        return 0;
    default:
        Console.Error.WriteLine(
            "Usage: kernels [set|best] [threads|0] [768x12 192x4 ...], quantised [set|best] [Q4_K ...], experts, recurrent or "
            + "attention [set|best] [threads|0], planning, load MODEL, masks or forms TOKENIZER.json");
        return 2;
}
