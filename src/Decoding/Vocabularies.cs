using Understory.Decoding.Drafters;
using Understory.Models.Architecture;

namespace Understory.Decoding;

/// <summary>Whoever proposes tokens must mean the target's.</summary>
internal static class Vocabularies
{
    /// <exception cref="ModelLoadException">The draft has another vocabulary than the target.</exception>
    public static LanguageModel Shared(LanguageModel target, LanguageModel draft)
    {
        if (target.Tokenizer.Fingerprint != draft.Tokenizer.Fingerprint || target.Config.VocabularySize != draft.Config.VocabularySize)
        {
            throw new ModelLoadException(
                $"The draft '{draft.Name}' has another vocabulary ({draft.Config.VocabularySize} tokens) than the target '{target.Name}' "
                + $"({target.Config.VocabularySize}); give a draft that was trained with the target's tokenizer, or --draft none.");
        }

        return draft;
    }

    /// <exception cref="ModelLoadException">The n-gram has another vocabulary than the target.</exception>
    public static NgramModel? Shared(LanguageModel target, NgramModel? ngram)
    {
        if (ngram is not null
            && (ngram.Vocabulary != target.Tokenizer.Fingerprint.ToString() || ngram.VocabularySize != target.Config.VocabularySize))
        {
            throw new ModelLoadException(
                $"The n-gram file has another vocabulary ({ngram.VocabularySize} tokens) than the target '{target.Name}' "
                + $"({target.Config.VocabularySize}); build one with the ngram verb, or give --ngram none.");
        }

        return ngram;
    }
}
