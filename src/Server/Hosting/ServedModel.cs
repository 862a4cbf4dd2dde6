using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.Hosting;

/// <summary>What the HTTP side knows of the model that the decoding thread runs. Immutable.</summary>
/// <param name="Id">The name it is listed under.</param>
/// <param name="Aliases">Further names that requests may use.</param>
/// <param name="Context">Most tokens of prompt and output together.</param>
/// <param name="Start">The token that stands for "nothing yet" where a prompt is empty; null: the model has none.</param>
/// <param name="Fingerprint">Changes where the same request may be answered differently: other weights, other kernels.</param>
/// <param name="Modes">The speculation modes that what was loaded allows.</param>
public sealed record ServedModel(
    string Id,
    IReadOnlyList<string> Aliases,
    Tokenizer Tokenizer,
    ChatRenderer Chat,
    GenerationDefaults Defaults,
    int Vocabulary,
    int Context,
    int? Start,
    string Fingerprint,
    DateTimeOffset Created,
    IReadOnlySet<SpeculationMode> Modes)
{
    /// <summary>Width of the hidden states: dimensions of an embedding.</summary>
    public int HiddenSize { get; init; }

    /// <summary>Some of its layers are recurrent: they go back only to where they were told to remember.</summary>
    public bool IsHybrid { get; init; }

    /// <summary>Name of the kernel set that runs it.</summary>
    public string Kernels { get; init; } = "";

    /// <summary>How many numbers its weights are.</summary>
    public long Parameters { get; init; }

    /// <summary>It is the small model that comes with the program.</summary>
    public bool Demo { get; init; }

    /// <summary>What it can do: a model without a chat template goes on with text, whatever it is asked.</summary>
    public IReadOnlyList<Ability> Abilities =>
    [
        Ability.Completion,
        .. Chat.Source is null ? [] : new[] { Ability.Chat },
        .. Chat.TakesTools ? new[] { Ability.Tools } : [],
        .. Chat.Thinks ? new[] { Ability.Thinking } : [],
        .. FillInTheMiddle.Find(Tokenizer) is null ? [] : new[] { Ability.Infill },
    ];

    /// <summary>The alias of every name: clients that ask for a model of their own are served too.</summary>
    public const string AnyName = "*";

    /// <summary>The names that it is listed under.</summary>
    public IEnumerable<string> Names => Aliases.Where(alias => alias != AnyName).Prepend(Id);

    /// <summary>Whether a request that asks for this model means ours; one that names none does.</summary>
    public bool Answers(string? name) => name is null || name == Id || Aliases.Contains(name) || Aliases.Contains(AnyName);
}
