using Understory.Decoding.Constraints;
using Understory.Decoding.Sampling;
using Understory.Models.Tokenizers;

namespace Understory.Decoding;

/// <summary>Which stages may propose. All but <see cref="Auto"/> are forced; only <see cref="Auto"/> may switch speculation off.</summary>
public enum SpeculationMode
{
    Auto,
    Off,

    /// <summary>The n-gram proposes to the target.</summary>
    Ngram,

    /// <summary>The draft model proposes to the target.</summary>
    Draft,

    /// <summary>The n-gram proposes to the draft model, that to the target.</summary>
    Staged,
}

/// <summary>One answer to decode.</summary>
public sealed record GenerationRequest
{
    public required int[] Prompt { get; init; }

    public SamplingParams Sampling { get; init; } = new();

    /// <summary>Most tokens to generate; the context's end is a limit too.</summary>
    public int MaxTokens { get; init; } = 16;

    /// <summary>The text ends before the first of these.</summary>
    public IReadOnlyList<string> Stop { get; init; } = [];

    /// <summary>
    /// Ends the text in place of <see cref="Stop"/>, where stop strings do not hold for all of it (thoughts, calls); null: they do.
    /// </summary>
    public Func<ITextEnd>? TextEnd { get; init; }

    /// <summary>Tokens that end the answer beside the model's own; they are no part of the text.</summary>
    public IReadOnlyList<int> EndTokens { get; init; } = [];

    /// <summary>Special tokens that stay in the text, which else leaves them out; null: none.</summary>
    public IReadOnlySet<int>? KeptSpecials { get; init; }

    /// <summary>Goes on past the end-of-sequence token.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>What the answer may be; null: any text. Made for the target's tokenizer.</summary>
    public Constraint? Constraint { get; init; }

    /// <summary>Tokens of an answer that is expected: proposed like the n-gram's guesses, never forced on the target. Null: none.</summary>
    public int[]? Prediction { get; init; }

    public SpeculationMode Speculation { get; init; }

    /// <summary>Fixes the number of nodes verified per step.</summary>
    public int? SpeculationNodes { get; init; }

    /// <summary>Fixes the number of draft passes per step: for comparisons.</summary>
    public int? DraftPasses { get; init; }

    /// <summary>Most candidates of the draft model per node: for comparisons. With 1 its trees are chains.</summary>
    public int? Branch { get; init; }

    /// <summary>-1: no log-probabilities; otherwise that many alternatives beside the chosen token's own, at most 20.</summary>
    public int TopLogProbs { get; init; } = -1;

    /// <summary>
    /// Scores the prompt's own tokens, with as many alternatives as <see cref="TopLogProbs"/> says (<c>Sequence.PromptLogProbs</c>). The
    /// whole prompt is computed then, whatever the prefix cache holds, and the end-of-sequence token gets an entry among the answer's
    /// tokens.
    /// </summary>
    public bool PromptLogProbs { get; init; }

    /// <summary>
    /// How many of the prompt's tokens later prompts may have in common with it, ascending: a model whose layers cannot go back remembers
    /// their states there. They never change a text.
    /// </summary>
    public IReadOnlyList<int> PartingPoints { get; init; } = [];

    /// <summary>Nothing is generated: the prompt's final hidden states are averaged (<c>Sequence.Hidden</c>).</summary>
    public bool Embed { get; init; }

    /// <summary>What ends this answer's text.</summary>
    /// <exception cref="InvalidRequestException">A stop string is empty.</exception>
    internal ITextEnd NewTextEnd() => TextEnd?.Invoke() ?? new StopStrings(Stop);

    /// <summary>Every position of the prompt has to go through the target.</summary>
    internal bool ReadsPrompt => PromptLogProbs || Embed;

    /// <summary>
    /// Keeps every step's tree (<c>DecodingLoop.LastTree</c>) and who proposed each token (<c>Sequence.Trace</c>), to be shown.
    /// </summary>
    public bool ReportTree { get; init; }

    /// <summary>Most alternatives per token that <see cref="TopLogProbs"/> may ask for.</summary>
    internal const int MaxAlternatives = 20;

    /// <exception cref="InvalidRequestException">The prompt is empty or too long, or a parameter is out of range; the message names
    /// it.</exception>
    internal void Validate(Tokenizer tokenizer, int vocabulary, int context)
    {
        if (Prompt.Length == 0)
        {
            throw new InvalidRequestException("prompt", "The prompt has no tokens; give at least one.");
        }

        if (Prompt.Length > context)
        {
            throw new InvalidRequestException("prompt",
                $"The prompt has {Prompt.Length} tokens; the model's context is {context}. Shorten the prompt.");
        }

        if (MaxTokens < 0)
        {
            throw new InvalidRequestException("max_tokens", $"max_tokens is {MaxTokens}; it must be 0 or more.");
        }

        if (TopLogProbs > MaxAlternatives)
        {
            throw new InvalidRequestException("top_logprobs", $"top_logprobs is {TopLogProbs}; it must be at most {MaxAlternatives}.");
        }

        CheckTokens("prompt", Prompt, vocabulary);
        CheckTokens("prediction", Prediction ?? [], vocabulary);
        if (Constraint is { } constraint && constraint.Tokenizer.Fingerprint != tokenizer.Fingerprint)
        {
            throw new ArgumentException("The constraint was compiled for another tokenizer than the target's.");
        }

        Sampling.Validate(vocabulary);
    }

    private static void CheckTokens(string name, int[] tokens, int vocabulary)
    {
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)vocabulary)
            {
                throw new InvalidRequestException(name, $"The {name} holds token {token}; ids go from 0 to {vocabulary - 1}.");
            }
        }
    }
}

public enum FinishReason
{
    None,

    /// <summary>End of sequence, a stop string, or the end of all that the constraint allows.</summary>
    Stop,

    /// <summary>max_tokens or the context's end.</summary>
    Length,
}
