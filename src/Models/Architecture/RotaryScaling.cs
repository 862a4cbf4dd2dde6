namespace Understory.Models.Architecture;

/// <summary>
/// Rotary position embedding (Su et al., arXiv 2104.09864): dimensions i and i + Dim / 2 of a head turn by the angle position x
/// frequency[i], where frequency[i] = Theta^(-2i / Dim), changed by <paramref name="Scaling"/>.
/// </summary>
/// <param name="Dim">Leading dimensions of a head that are rotated, even.</param>
public sealed record Rotary(int Dim, double Theta, RotaryScaling Scaling)
{
    /// <summary>Radians per position of each pair, <c>[Dim / 2]</c>.</summary>
    /// <param name="context">Tokens that a sequence may hold; only <see cref="DynamicScaling"/> looks at it.</param>
    public double[] Frequencies(int context) => Scaling.Frequencies(Dim, Theta, context);

    internal static double[] Unscaled(int dim, double theta)
    {
        double[] frequencies = new double[dim / 2];
        for (int i = 0; i < frequencies.Length; i++)
        {
            frequencies[i] = Math.Pow(theta, -2.0 * i / dim);
        }

        return frequencies;
    }
}

/// <summary>
/// How a model's rotary frequencies were changed to reach a longer context than it was first trained on. Formulas as in Hugging Face
/// transformers' <c>modeling_rope_utils</c>.
/// </summary>
public abstract record RotaryScaling
{
    public static RotaryScaling None { get; } = new LinearScaling(1);

    /// <summary>The cosines and sines are multiplied by it.</summary>
    public virtual double AttentionFactor => 1;

    public abstract double[] Frequencies(int dim, double theta, int context);

    /// <summary>The longest context that this scaling makes of the trained one.</summary>
    public virtual long MaxContext(int trained) => trained;
}

/// <summary>Positions divided by a factor (Chen et al., arXiv 2306.15595).</summary>
public sealed record LinearScaling(double Factor) : RotaryScaling
{
    public override double[] Frequencies(int dim, double theta, int context) =>
        Array.ConvertAll(Rotary.Unscaled(dim, theta), frequency => frequency / Factor);
}

/// <summary>
/// Of a head's pairs only the first <paramref name="Part"/> turn, at the frequencies that they have among all of them (Gemma 4's global
/// layers); divided by a factor.
/// </summary>
public sealed record ProportionalScaling(double Part, double Factor) : RotaryScaling
{
    public override double[] Frequencies(int dim, double theta, int context)
    {
        double[] frequencies = Array.ConvertAll(Rotary.Unscaled(dim, theta), frequency => frequency / Factor);
        int turning = (int)Math.Clamp(Math.Floor(Part * dim / 2), 0, frequencies.Length);
        frequencies.AsSpan(turning).Clear();
        return frequencies;
    }
}

/// <summary>
/// "NTK-aware" scaling: theta grows with the context beyond the trained one. The factor is fixed from the context size, not from the
/// length so far, so that a key does not depend on how long the text became after it.
/// </summary>
public sealed record DynamicScaling(double Factor, int TrainedContext) : RotaryScaling
{
    public override double[] Frequencies(int dim, double theta, int context)
    {
        double length = Math.Max(context, TrainedContext);
        double stretch = (Factor * length / TrainedContext) - (Factor - 1);
        return Rotary.Unscaled(dim, theta * Math.Pow(stretch, dim / (dim - 2.0)));
    }

    public override long MaxContext(int trained) => (long)(trained * Factor);
}

/// <summary>Llama 3.1: long wavelengths are divided by the factor, short ones kept, those between blended.</summary>
/// <param name="OriginalContext">The context of the first training; wavelengths are measured against it.</param>
public sealed record Llama3Scaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext)
    : RotaryScaling
{
    public override double[] Frequencies(int dim, double theta, int context) => Array.ConvertAll(Rotary.Unscaled(dim, theta), frequency =>
    {
        double turns = OriginalContext * frequency / (2 * Math.PI);
        double kept = Math.Clamp((turns - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor), 0, 1);
        return (kept * frequency) + ((1 - kept) * frequency / Factor);
    });
}

/// <summary>
/// YaRN (Peng et al., arXiv 2309.00071): dimensions that turn often within the original context are kept, slow ones divided by the factor,
/// with a ramp between.
/// </summary>
/// <param name="FastTurns">beta_fast: dimensions with more turns are kept.</param>
/// <param name="SlowTurns">beta_slow: dimensions with fewer turns are divided.</param>
/// <param name="Attention">Factor on cosines and sines.</param>
/// <param name="Truncate">The ends of the ramp are rounded outwards to whole dimensions.</param>
public sealed record YarnScaling(double Factor, int OriginalContext, double FastTurns, double SlowTurns, double Attention, bool Truncate)
    : RotaryScaling
{
    public override double AttentionFactor => Attention;

    /// <summary>The paper's temperature: 0.1 m ln(factor) + 1.</summary>
    public static double DefaultAttention(double factor, double m = 1) => factor <= 1 ? 1 : (0.1 * m * Math.Log(factor)) + 1;

    public override double[] Frequencies(int dim, double theta, int context)
    {
        double low = Dimension(FastTurns);
        double high = Dimension(SlowTurns);
        (low, high) = Truncate ? (Math.Floor(low), Math.Ceiling(high)) : (low, high);
        (low, high) = (Math.Max(low, 0), Math.Min(high, dim - 1));
        high = low == high ? high + 0.001 : high;

        double[] frequencies = Rotary.Unscaled(dim, theta);
        for (int i = 0; i < frequencies.Length; i++)
        {
            double divided = Math.Clamp((i - low) / (high - low), 0, 1);
            frequencies[i] *= (divided / Factor) + (1 - divided);
        }

        return frequencies;

        // The (fractional) index of the pair that makes this many turns within the original context.
        double Dimension(double turns) => dim * Math.Log(OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
    }

    public override long MaxContext(int trained) => Math.Max(trained, (long)(OriginalContext * Factor));
}

/// <summary>
/// LongRoPE (Ding et al., arXiv 2402.13753): each frequency divided by its own factor, of one list up to the original context and of
/// another beyond. Which of them is fixed by the context size, not by the length so far, so that a key does not depend on how long the
/// text became after it.
/// </summary>
/// <param name="Attention">Factor on cosines and sines.</param>
public sealed record LongRopeScaling(float[] Short, float[] Long, int OriginalContext, double Attention) : RotaryScaling
{
    public override double AttentionFactor => Attention;

    /// <summary><c>sqrt(1 + ln(context / original) / ln(original))</c>.</summary>
    public static double DefaultAttention(double context, double original) =>
        context <= original ? 1 : Math.Sqrt(1 + (Math.Log(context / original) / Math.Log(original)));

    public override double[] Frequencies(int dim, double theta, int context) =>
        new FactorsScaling(context > OriginalContext ? Long : Short).Frequencies(dim, theta, context);
}

/// <summary>Each frequency divided by its own factor: how GGUF files keep Llama 3's scaling (<c>rope_freqs.weight</c>).</summary>
public sealed record FactorsScaling(float[] Factors) : RotaryScaling
{
    public override double[] Frequencies(int dim, double theta, int context)
    {
        double[] frequencies = Rotary.Unscaled(dim, theta);
        if (Factors.Length != frequencies.Length)
        {
            throw new InvalidDataException($"The number of rope factors is {Factors.Length} for {frequencies.Length} frequencies.");
        }

        for (int i = 0; i < frequencies.Length; i++)
        {
            frequencies[i] /= Factors[i];
        }

        return frequencies;
    }
}
