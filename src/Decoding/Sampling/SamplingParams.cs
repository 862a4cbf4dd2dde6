using Understory.Models.Kernels;

namespace Understory.Decoding.Sampling;

/// <summary>How a request wants its tokens chosen; see <see cref="DecisionParams"/> for what each field does.</summary>
public sealed record SamplingParams
{
    /// <summary>0 is greedy.</summary>
    public float Temperature { get; init; } = 1;

    /// <summary>0 keeps all tokens.</summary>
    public int TopK { get; init; }

    public float TopP { get; init; } = 1;

    public float MinP { get; init; }

    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Tokens, of prompt and output, that <see cref="RepetitionPenalty"/> looks back at; 0: all.</summary>
    public int RepetitionWindow { get; init; }

    public float PresencePenalty { get; init; }

    public float FrequencyPenalty { get; init; }

    public ulong Seed { get; init; }

    /// <summary>Which of several answers to one request this is: the third word of the noise's counter.</summary>
    public uint Choice { get; init; }

    /// <summary>Added to the logits of these tokens.</summary>
    public IReadOnlyDictionary<int, float>? LogitBias { get; init; }

    public static SamplingParams Greedy { get; } = new() { Temperature = 0 };

    /// <exception cref="InvalidRequestException">A value is out of range; the message names it, its range and the remedy.</exception>
    public void Validate(int vocabulary)
    {
        Check(float.IsFinite(Temperature) && Temperature is >= 0 and <= 100, "temperature", Temperature, "from 0 (greedy) to 100");
        Check(TopK >= 0, "top_k", TopK, "0 (all) or more");
        Check(TopP is > 0 and <= 1, "top_p", TopP, "above 0, up to 1 (all)");
        Check(MinP is >= 0 and <= 1, "min_p", MinP, "from 0 (all) to 1");
        Check(float.IsFinite(RepetitionPenalty) && RepetitionPenalty > 0, "repetition_penalty", RepetitionPenalty, "above 0 (1: none)");
        Check(RepetitionWindow >= 0, "repeat_last_n", RepetitionWindow, "0 (the whole text) or more");
        Check(PresencePenalty is >= -2 and <= 2, "presence_penalty", PresencePenalty, "from -2 to 2");
        Check(FrequencyPenalty is >= -2 and <= 2, "frequency_penalty", FrequencyPenalty, "from -2 to 2");
        foreach (var (token, bias) in LogitBias ?? new Dictionary<int, float>())
        {
            Check(token >= 0 && token < vocabulary, "logit_bias", token, $"a token id from 0 to {vocabulary - 1}");
            Check(!float.IsNaN(bias) && bias <= 100, "logit_bias", bias, "from -100 to 100");
        }
    }

    public DecisionParams ToDecision() => new()
    {
        Seed = Seed,
        Choice = Choice,
        Temperature = Temperature,
        TopK = TopK,
        TopP = TopP,
        MinP = MinP,
        RepetitionPenalty = RepetitionPenalty,
        RepetitionWindow = RepetitionWindow,
        PresencePenalty = PresencePenalty,
        FrequencyPenalty = FrequencyPenalty,
    };

    private static void Check<T>(bool valid, string name, T value, string range)
    {
        if (!valid)
        {
            throw new InvalidRequestException(name, $"{name} is {value}; it must be {range}.");
        }
    }
}
