using Understory.Models.Tokenizers;

namespace Understory.Models.Architecture;

/// <summary>A model ready to run: its network, the tokenizer that feeds it, and what its files recommend.</summary>
/// <param name="Name">Name of its folder, or of its file less ".gguf".</param>
/// <param name="Path">The folder or file, absolute.</param>
public sealed record LanguageModel(
    string Name,
    string Path,
    Transformer Transformer,
    Tokenizer Tokenizer,
    GenerationDefaults Defaults) : IDisposable
{
    public ModelConfig Config => Transformer.Config;

    /// <summary>The network whose weights these are, in few bits (<see cref="LoadOptions.CopyOf"/>); null: none's.</summary>
    public Transformer? CopyOf { get; init; }

    /// <summary>A draft head of this model: of its own files, or what was loaded for it; null: none.</summary>
    public DraftHead? Head { get; init; }

    public void Dispose()
    {
        Head?.Dispose();
        Transformer.Dispose();
    }
}
