using Understory.Decoding;
using Understory.Decoding.Sampling;
using Understory.Decoding.Sequences;

namespace Understory.Server.Verbs.Bench;

public sealed record BenchSettings
{
    public int MaxTokens { get; init; } = 128;

    public float Temperature { get; init; }

    public int TopK { get; init; }

    public ulong Seed { get; init; } = 1;

    /// <summary>Runs of each mode per prompt; the fastest counts.</summary>
    public int Repeats { get; init; } = 3;

    /// <summary>Above 0: so many draft passes per step in the forced modes, to compare trees at equal cost.</summary>
    public int DraftPasses { get; init; }

    /// <summary>Above 0: so many nodes per tree in the forced modes.</summary>
    public int Nodes { get; init; }
}

/// <summary>How a bench decodes.</summary>
/// <param name="Branch">Most candidates of the draft per node; 0: its own number.</param>
public sealed record BenchMode(string Name, SpeculationMode Speculation, int Branch = 0)
{
    /// <summary>Plain decoding, that all are measured against.</summary>
    public static BenchMode Off { get; } = new("off", SpeculationMode.Off);

    /// <summary>The same again, to see what noise does.</summary>
    public static BenchMode Control { get; } = new("off again", SpeculationMode.Off);

    /// <summary>All, in the order of tables. A chain is the draft model's best path alone, as long as it is expected to pay.</summary>
    public static IReadOnlyList<BenchMode> All { get; } =
    [
        Off,
        new("ngram", SpeculationMode.Ngram),
        new("draft", SpeculationMode.Draft),
        new("chain", SpeculationMode.Draft, Branch: 1),
        new("staged", SpeculationMode.Staged),
        new("auto", SpeculationMode.Auto),
    ];
}

/// <summary>Decodes a prompt as a bench does: a number of tokens, whatever the model thinks of an end.</summary>
public sealed class BenchDecoder(DecodingLoop loop, BenchSettings settings)
{
    public Sequence Decode(int[] prompt, BenchMode mode)
    {
        Sequence sequence = loop.Begin(new GenerationRequest
        {
            Prompt = prompt,
            Sampling = new SamplingParams { Temperature = settings.Temperature, TopK = settings.TopK, Seed = settings.Seed },
            MaxTokens = settings.MaxTokens,
            IgnoreEos = true,
            Speculation = mode.Speculation,
            Branch = mode.Branch == 0 ? null : mode.Branch,
            SpeculationNodes = mode.Speculation is SpeculationMode.Auto or SpeculationMode.Off || settings.Nodes == 0
                ? null : settings.Nodes,
            DraftPasses = mode.Speculation is SpeculationMode.Draft or SpeculationMode.Staged && settings.DraftPasses > 0
                ? settings.DraftPasses : null,
        });
        while (!sequence.Finished)
        {
            loop.Step(sequence);
        }

        loop.End(sequence);
        return sequence;
    }
}
