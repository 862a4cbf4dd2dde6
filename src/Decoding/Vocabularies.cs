using Understory.Decoding.Drafters;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;

namespace Understory.Decoding;

/// <summary>Whoever proposes tokens must mean the target's.</summary>
public static class Vocabularies
{
    /// <exception cref="ModelLoadException">The draft has another vocabulary than the target.</exception>
    internal static LanguageModel Shared(LanguageModel target, LanguageModel draft)
    {
        Require((target.Name, target.Tokenizer, target.Config), (draft.Name, draft.Tokenizer, draft.Config));
        return draft;
    }

    /// <exception cref="ModelLoadException">The draft has another vocabulary than the target.</exception>
    public static void Require(
        (string Name, Tokenizer Tokenizer, ModelConfig Config) target, (string Name, Tokenizer Tokenizer, ModelConfig Config) draft)
    {
        if (target.Tokenizer.Fingerprint != draft.Tokenizer.Fingerprint || target.Config.VocabularySize != draft.Config.VocabularySize)
        {
            throw new ModelLoadException(
                $"The draft '{draft.Name}' has another vocabulary ({draft.Config.VocabularySize} tokens) than the target '{target.Name}' "
                + $"({target.Config.VocabularySize}); give a draft that was trained with the target's tokenizer, or --draft none.");
        }
    }

    /// <exception cref="ModelLoadException">The n-gram has another vocabulary than the target.</exception>
    internal static NgramModel? Shared(LanguageModel target, NgramModel? ngram)
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
