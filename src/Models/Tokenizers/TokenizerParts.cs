using Understory.Models.Tokenizers.Normalization;
using Understory.Models.Tokenizers.PreTokenization;

namespace Understory.Models.Tokenizers;

/// <summary>What a tokenizer is made of; read from tokenizer.json or GGUF metadata.</summary>
internal sealed record TokenizerParts
{
    public required Vocabulary Vocabulary { get; init; }

    public required IReadOnlyList<Merge> Merges { get; init; }

    public required BytePairOptions Encoding { get; init; }

    public required DecoderOptions Decoder { get; init; }

    public IReadOnlyList<AddedToken> AddedTokens { get; init; } = [];

    public INormalizer? Normalizer { get; init; }

    public IPreTokenizer? PreTokenizer { get; init; }

    /// <summary>Ids put before a text.</summary>
    public IReadOnlyList<int> Prefix { get; init; } = [];

    /// <summary>Ids put after a text.</summary>
    public IReadOnlyList<int> Suffix { get; init; } = [];

    public int? BosId { get; init; }

    public int? EosId { get; init; }

    /// <summary>Ids from here on the model does not have.</summary>
    public int IdLimit { get; init; } = int.MaxValue;

    /// <summary>With the tokens that <paramref name="config"/> names as beginning and end of a text, and as its class puts them.</summary>
    public TokenizerParts With(TokenizerConfig? config)
    {
        TokenizerParts parts = this with
        {
            BosId = config?.BosToken is string bos && Vocabulary.TryFind(bos, out int bosId) ? bosId : BosId,
            EosId = config?.EosToken is string eos && Vocabulary.TryFind(eos, out int eosId) ? eosId : EosId,
        };
        return config is not { AddsItsOwn: true } ? parts : parts with
        {
            Prefix = (config.AddBos ?? true) && parts.BosId is { } begin ? [begin] : [],
            Suffix = (config.AddEos ?? false) && parts.EosId is { } end ? [end] : [],
        };
    }
}
