using System.CommandLine;
using System.Globalization;
using TorchSharp;
using Understory.Training.Network;
using Understory.Training.Optimisation;
using Understory.Training.Texts;
using Understory.Training.Torch;

namespace Understory.Training.Verbs;

/// <summary><c>info</c>: whether libtorch loads here, where it computes, and how fast.</summary>
internal static class InfoVerb
{
    private static readonly Option<bool> Rates = new("--rates") { Description = "Train a model of 5 million weights for a few seconds." };

    public static Command Create()
    {
        var verb = new Command("info", "Say whether libtorch can be used here, and on which device it computes.") { Rates };
        verb.SetAction(parsed =>
        {
            torch.Device device = TorchRuntime.Device();
            string name = device.type.ToString().ToLowerInvariant();
            Console.WriteLine($"libtorch {torch.__version__} on {name}, {torch.get_num_threads()} threads");
            if (parsed.GetValue(Rates))
            {
                Measure(device, bf16: false);
                Measure(device, bf16: true);
            }
        });
        return verb;
    }

    private static void Measure(torch.Device device, bool bf16)
    {
        var shape = new LlamaShape(Vocabulary: 4096, Hidden: 256, Layers: 5, Heads: 4, KvHeads: 2, Width: 704, Context: 256);
        TrainingPhase[] phases = [new TrainingPhase(long.MaxValue, shape.Context)];
        var settings = new TrainingSettings { Shape = shape, Phases = phases, BatchTokens = 8192, Bf16 = bf16 };
        var random = new Random(1);
        var texts = new TokenBatches(new TokenFile([.. Enumerable.Range(0, 100_000).Select(_ => random.Next(shape.Vocabulary))]), seed: 1);
        double rate = TrainingRun.MeasureRate(settings, texts, device, TimeSpan.FromSeconds(5));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{(bf16 ? "bf16" : "f32")}: {rate:N0} tokens a second of a model of "
            + $"{shape.Parameters / 1e6:F1}M weights, {rate * shape.FlopsPerToken / 1e9:F0} GFLOP/s"));
    }
}
