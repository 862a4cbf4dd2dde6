using System.CommandLine;
using Understory.Models.Architecture;
using Understory.Peer;

// What a check answers where llama.cpp is not to be had, as test harnesses know it.
const int Skipped = 77;

var model = new Argument<string>("model") { Description = "A .gguf file." };
var output = new Argument<string>("out") { Description = "The .gguf file to make." };
var rows = new Option<string>("--rows") { Description = "Rows of a pass.", DefaultValueFactory = _ => "1,2,4,8,16,32" };
var rounds = new Option<int>("--rounds") { Description = "Rounds of measurements, each A B A B.", DefaultValueFactory = _ => 9 };
var tokens = new Option<int>("--tokens") { Description = "Positions.", DefaultValueFactory = _ => 1000 };
var text = new Option<string?>("--text") { Description = "A file of text; without it the tokens are random." };
var shape = new Option<string>("--shape")
{
    Description = string.Join(", ", Shape.All.Select(shape => shape.Name)),
    DefaultValueFactory = _ => "4x1024",
};
var mix = new Option<string>("--type") { Description = "F16, BF16, or a mix by llama.cpp's name.", DefaultValueFactory = _ => "Q4_K_M" };
var pure = new Option<bool>("--pure") { Description = "Every matrix is of one type, as Q4_K." };
var only = new Option<string>("--only") { Description = "Some types, with commas; without it all.", DefaultValueFactory = _ => "" };

var speed = new Command("speed", "Times of both engines on one file, in turn.") { model, rows, rounds };
speed.SetAction(parsed =>
    SpeedReport.Write(parsed.GetValue(model)!, [.. parsed.GetValue(rows)!.Split(',').Select(int.Parse)], parsed.GetValue(rounds)));

var fidelity = new Command("fidelity", "How far both engines are from the file's weights in F32; 1 if ours is further than it may be.")
{
    model, tokens, text,
};
fidelity.SetAction(parsed =>
{
    string path = parsed.GetValue(model)!;
    FidelityCheck check = FidelityCheck.Run(path, Ids(path, parsed.GetValue(text), parsed.GetValue(tokens)));
    Console.WriteLine(
        $"{check.Positions} positions: KL {check.Ours.MeanKl:E3}, llama.cpp {check.Peer.MeanKl:E3}, ratio {check.Ratio:F3} of at most "
        + $"{check.MostKl}; top 1 {check.Ours.TopOne:P2}, llama.cpp {check.Peer.TopOne:P2}: {(check.Holds ? "holds" : "does not hold")}.");
    return check.Holds ? 0 : 1;
});

var make = new Command("make", "Makes a file of random weights, quantised by llama.cpp.") { output, shape, mix, pure };
make.SetAction(parsed =>
    Quantiser.Make(parsed.GetValue(output)!, Shape.Of(parsed.GetValue(shape)!), parsed.GetValue(mix)!, parsed.GetValue(pure)));

var types = new Command("types", "Fidelity and speed of every type of weights; 1 if fidelity does not hold for one.")
{
    shape, only, tokens, rounds,
};
types.SetAction(parsed =>
{
    string[] some = parsed.GetValue(only)!.Split(',', StringSplitOptions.RemoveEmptyEntries);
    return TypesReport.Write(Shape.Of(parsed.GetValue(shape)!), some, parsed.GetValue(tokens), parsed.GetValue(rounds)) ? 0 : 1;
});

var root = new RootCommand("llama.cpp and this repository's code side by side.") { speed, fidelity, make, types };
try
{
    LlamaCppEngine.Initialize();
    return root.Parse(args).Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (DllNotFoundException error)
{
    Console.Error.WriteLine(error.Message);
    return Skipped;
}
catch (Exception error) when (error is ModelLoadException or ArgumentException or FormatException or InvalidOperationException
    or IOException)
{
    Console.Error.WriteLine(error.Message);
    return 2;
}

static int[] Ids(string model, string? text, int count)
{
    using LlamaCppEngine engine = LlamaCppEngine.Load(model, 64);
    int[] ids = text is null ? FidelityCheck.RandomTokens(count, engine.Vocabulary) : engine.Tokenize(File.ReadAllText(text));
    return ids[..Math.Min(count, ids.Length)];
}
