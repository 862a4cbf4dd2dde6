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
    ChatFormat Chat,
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

    /// <summary>Null: the name is not ours. A request that names no model means this one.</summary>
    public bool Answers(string? name) => name is null || name == Id || Aliases.Contains(name);
}
