using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;

namespace Understory.Decoding;

/// <summary>Whoever proposes tokens must mean the target's, or be brought to them.</summary>
public static class Vocabularies
{
    /// <summary>Share of the smaller vocabulary's tokens that both must have. Chosen: below it most words are written otherwise.</summary>
    private const double LeastShared = 0.5;

    /// <summary>Refuses a draft whose vocabulary is too far from the target's.</summary>
    /// <returns>How a draft with a vocabulary of its own is understood; null where it has the target's.</returns>
    /// <exception cref="ModelLoadException">The two share less than half of the smaller vocabulary.</exception>
    public static string? Require(
        (string Name, Tokenizer Tokenizer, ModelConfig Config) target, (string Name, Tokenizer Tokenizer, ModelConfig Config) draft) =>
        Map(target, draft)?.ToString();

    /// <summary>A loaded model as drafter, whatever its vocabulary; without one the target's own head, where it has one.</summary>
    /// <returns>Null: neither is there.</returns>
    /// <exception cref="ModelLoadException">It shares too little with the target's, or cannot have the window.</exception>
    public static IDraftModel? Drafter(LanguageModel target, LanguageModel? draft, DecodingOptions options)
    {
        if (options.DraftWindow > 0 && Whole(target, draft) is { } why)
        {
            throw new ModelLoadException($"{why}: it has no window (--draft-window 0).");
        }

        if (draft is null)
        {
            return target.Head is { } head ? new HeadDrafter(head, target.Transformer, options.Branch, options.MaxDepth) : null;
        }

        int vocabulary = target.Config.VocabularySize;
        var window = new DraftWindow(options.DraftWindow);
        Transformer transformer = draft.Transformer;
        if (draft.CopyOf is not null)
        {
            return new SelfDrafter(transformer, options.Branch, options.MaxDepth);
        }

        if (Map((target.Name, target.Tokenizer, target.Config), (draft.Name, draft.Tokenizer, draft.Config)) is { } map)
        {
            return new TranslatedDrafter(transformer, map, vocabulary, options.Branch, options.MaxDepth, window);
        }

        return draft.Config is { MaskToken: { } mask, IsHybrid: false }
            ? new ParallelDrafter(transformer, mask, options.Branch, options.MaxDepth, window, vocabulary)
            : new ModelDrafter(transformer, options.Branch, options.MaxDepth, window, vocabulary);
    }

    /// <summary>Why a drafter cannot leave out what lies far behind; null: it can.</summary>
    private static string? Whole(LanguageModel target, LanguageModel? draft) => draft switch
    {
        null => target.Head is null ? null : "A draft head reads the model's states one after the other",
        { CopyOf: not null } => "The target's own copy reads the target's keys and values, all of them",
        { Config.IsHybrid: true } => "A draft whose layers are recurrent remembers what it read as a whole",
        _ => null,
    };

    /// <summary>Null: the draft has the target's ids, and at least as many logits (models of a family are padded differently).</summary>
    private static VocabularyMap? Map(
        (string Name, Tokenizer Tokenizer, ModelConfig Config) target, (string Name, Tokenizer Tokenizer, ModelConfig Config) draft)
    {
        bool covers = draft.Config.VocabularySize >= target.Config.VocabularySize;
        if (covers && target.Tokenizer.Fingerprint == draft.Tokenizer.Fingerprint)
        {
            return null;
        }

        var map = new VocabularyMap((target.Tokenizer, target.Config), (draft.Tokenizer, draft.Config));
        if (map.Share < LeastShared)
        {
            throw new ModelLoadException(FormattableString.Invariant(
                $"The draft '{draft.Name}' has another vocabulary ({draft.Config.VocabularySize} tokens) than the target '{target.Name}' ")
                + FormattableString.Invariant($"({target.Config.VocabularySize}), and only {100 * map.Share:F1} % of the smaller one's ")
                + "tokens are in both, by their bytes; give a draft that shares at least half of them (best, one of the same family), "
                + "or --draft none.");
        }

        return covers && map.IsIdentity ? null : map;
    }

    /// <exception cref="ModelLoadException">The n-gram has another vocabulary than the target.</exception>
    internal static NgramModel? Shared(LanguageModel target, NgramModel? ngram)
    {
        // A draft of the family, whose samples were counted, may be padded less.
        if (ngram is not null
            && (ngram.Vocabulary != target.Tokenizer.Fingerprint || ngram.VocabularySize > target.Config.VocabularySize))
        {
            throw new ModelLoadException(
                $"The n-gram file has another vocabulary ({ngram.VocabularySize} tokens) than the target '{target.Name}' "
                + $"({target.Config.VocabularySize}); build one with the ngram verb, or give --ngram none.");
        }

        return ngram;
    }
}
