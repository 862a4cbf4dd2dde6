using System.Globalization;
using Understory.Training.Network;

namespace Understory.Training.Drafting;

/// <summary>What was asked for; a work folder belongs to one such request.</summary>
/// <param name="Target">Path of the target, absolute.</param>
/// <param name="Texts">Names and lengths of the user's files.</param>
/// <param name="From">The draft to tune; null: one from scratch.</param>
/// <param name="TargetState">Which target lies there (<see cref="Files.FileState"/>).</param>
/// <param name="FromState">The same of the draft to tune.</param>
internal sealed record DraftRequest(
    string Target, IReadOnlyList<string> Texts, double Minutes, string? From, int Seed, string TargetState = "", string FromState = "")
{
    /// <summary>What is asked for otherwise than in a kept request, for its user to read; empty: nothing.</summary>
    public string Differences(DraftRequest kept)
    {
        (string Name, object? Asked, object? Kept)[] parts =
        [
            ("--target", Target, kept.Target), ("the target's files", TargetState, kept.TargetState),
            ("--texts", string.Join(", ", Texts), string.Join(", ", kept.Texts)),
            ("--minutes", Minutes, kept.Minutes), ("--from", From, kept.From), ("the files of --from", FromState, kept.FromState),
            ("--seed", Seed, kept.Seed),
        ];
        return string.Join("; ", parts.Where(part => !Equals(part.Asked, part.Kept)).Select(part => string.Create(
            CultureInfo.InvariantCulture, $"{part.Name} was {Shown(part.Kept)}, now {Shown(part.Asked)}")));

        static object Shown(object? value) => value is null or "" ? "not given" : value;
    }
}

/// <summary>Tokens a second.</summary>
/// <param name="Score">Reading given texts.</param>
/// <param name="Write">Writing texts of its own.</param>
/// <param name="TrainF32">Training with products in F32.</param>
/// <param name="TrainBf16">The same in bf16.</param>
internal sealed record DraftRates(double Score, double Write, double TrainF32, double TrainBf16)
{
    public double Train => Math.Max(TrainF32, TrainBf16);
}

/// <summary>How the minutes are spent, decided once; a run that is taken up again goes by it.</summary>
internal sealed record DraftPlan
{
    /// <summary>Fewer tokens than this make no draft from scratch that is worth its passes.</summary>
    public const long EnoughFromScratch = 5_000_000;

    /// <summary>Shares of the time: the rest is for measuring.</summary>
    private const double LearningShare = 0.72;
    private const double CountingShare = 0.1;

    /// <summary>How often a sample is trained on: the teacher's opinions bear repetition.</summary>
    private const int Epochs = 3;

    public required DraftRequest Request { get; init; }

    public required DraftRates Rates { get; init; }

    public required LlamaShape Shape { get; init; }

    /// <summary>Places of a sample.</summary>
    public required int Length { get; init; }

    /// <summary>Tokens of the target's opinion that are kept at every place.</summary>
    public required int Kept { get; init; }

    /// <summary>Samples of the user's texts that are trained on.</summary>
    public required int Given { get; init; }

    /// <summary>Samples that the target writes, to train on.</summary>
    public required int Written { get; init; }

    public required long Steps { get; init; }

    public required int BatchTokens { get; init; }

    public required int Threads { get; init; }

    public bool Bf16 => Rates.TrainBf16 > Rates.TrainF32;

    /// <summary>Tokens to collect.</summary>
    public long Tokens => (long)(Given + Written) * Length;

    /// <summary>Seconds that counting n-grams may take.</summary>
    public double CountingSeconds => CountingShare * 60 * Request.Minutes;

    /// <summary>Seconds that measuring may take.</summary>
    public double MeasuringSeconds => (1 - LearningShare - CountingShare) * 60 * Request.Minutes;

    /// <summary>Tokens that so many minutes give.</summary>
    public static double TokensIn(double minutes, DraftRates rates) =>
        LearningShare * 60 * minutes / ((1 / rates.Write) + (Epochs / rates.Train));

    /// <param name="givenSamples">Samples that the user's texts are, held-out ones left out.</param>
    public static DraftPlan Make(DraftRequest request, DraftRates rates, LlamaShape shape, int length, int kept, int givenSamples)
    {
        // What is held out is written first, and read.
        double heldOut = TargetReader.SideBySide * length
            * ((1 / rates.Write) + (givenSamples > 0 ? 1 / rates.Score : 0));
        double seconds = (LearningShare * 60 * request.Minutes) - heldOut;
        double givenSeconds = length * ((1 / rates.Score) + (Epochs / rates.Train));
        int given = (int)Math.Clamp(seconds / givenSeconds, 0, givenSamples);
        double writtenSeconds = length * ((1 / rates.Write) + (Epochs / rates.Train));
        int groups = (int)((seconds - (given * givenSeconds)) / (writtenSeconds * TargetReader.SideBySide));
        int written = Math.Max(given == 0 ? 1 : 0, groups) * TargetReader.SideBySide;
        long tokens = (long)(given + written) * length;
        // Small batches where there is little to learn from: steps count too.
        int batch = length * Math.Clamp((int)(tokens * Epochs / 200 / length), 2, Math.Max(2, 4096 / length));
        return new DraftPlan
        {
            Request = request,
            Rates = rates,
            Shape = shape,
            Length = length,
            Kept = kept,
            Given = given,
            Written = written,
            BatchTokens = batch,
            Steps = Math.Max(1, tokens * Epochs / batch),
            Threads = Environment.ProcessorCount,
        };
    }

    /// <summary>The largest shape whose pass reads a twelfth of the target's bytes at most, and the smallest one where none does.</summary>
    /// <param name="targetBytes">That a pass of the target reads.</param>
    /// <param name="bytesPerWeight">Of the draft's file.</param>
    public static LlamaShape ShapeFor(long targetBytes, int vocabulary, int context, double bytesPerWeight)
    {
        LlamaShape[] shapes = [.. new[] { (64, 2), (96, 2), (128, 2), (192, 3), (256, 3), (384, 4), (512, 4) }
            .Select(size => new LlamaShape(vocabulary, size.Item1, size.Item2, size.Item1 / 32, size.Item1 % 64 == 0 ? size.Item1 / 64 : 1,
                3 * size.Item1, context))];
        return shapes.LastOrDefault(shape => shape.Parameters * bytesPerWeight * 12 <= targetBytes) ?? shapes[0];
    }
}
