namespace Understory.Models.Architecture.Families;

/// <summary>How configs say in which way heads are rotated.</summary>
internal static class Rope
{
    /// <summary>
    /// Hugging Face's, in both layouts: <c>rope_theta</c> beside <c>rope_scaling</c>, and the newer <c>rope_parameters</c> that holds all.
    /// </summary>
    public static Rotary Read(JsonKeys keys, int headDim, int context) =>
        Read(keys, keys.Object("rope_parameters") ?? keys.Object("rope_scaling") ?? JsonKeys.Empty, headDim, context);

    /// <param name="scaling">What <c>rope_parameters</c> or <c>rope_scaling</c> says.</param>
    public static Rotary Read(JsonKeys keys, JsonKeys scaling, int headDim, int context)
    {
        const double llamaTheta = 10000;
        double theta = scaling.Number("rope_theta", keys.Number("rope_theta", llamaTheta));
        double part = scaling.Number("partial_rotary_factor", keys.Number("partial_rotary_factor", 1));
        string kind = scaling.Has("rope_type") ? scaling.String("rope_type") : scaling.Has("type") ? scaling.String("type") : "default";
        if (kind == "proportional")
        {
            return new Rotary(headDim, theta, new ProportionalScaling(part, scaling.Number("factor", 1)));
        }

        return new Rotary((int)(headDim * part), theta, kind switch
        {
            "default" => RotaryScaling.None,
            "linear" => new LinearScaling(scaling.Number("factor")),
            "dynamic" => new DynamicScaling(scaling.Number("factor"), context),
            "llama3" => new Llama3Scaling(
                scaling.Number("factor"),
                scaling.Number("low_freq_factor"),
                scaling.Number("high_freq_factor"),
                scaling.Integer("original_max_position_embeddings")),
            "yarn" => Yarn(scaling, context),
            "longrope" or "su" => LongRope(keys, scaling, context),
            _ => throw scaling.Unsupported(scaling.Has("rope_type")
                ? "rope_type" : "type", "default, linear, dynamic, llama3, yarn, longrope and proportional are"),
        });
    }

    /// <summary>GGUF's: keys, or factors for each frequency as a tensor (Llama 3).</summary>
    public static Rotary Read(GgufKeys keys, int headDim)
    {
        int dim = keys.Count("rope.dimension_count", headDim);
        double theta = keys.Number("rope.freq_base", 10000);
        if (keys.Floats("rope_freqs.weight", dim / 2) is { } factors)
        {
            return new Rotary(dim, theta, new FactorsScaling(factors));
        }

        if (keys.Floats("rope_factors_long.weight", dim / 2) is { } longer
            && keys.Floats("rope_factors_short.weight", dim / 2) is { } shorter)
        {
            int original = keys.Count("rope.scaling.original_context_length");
            double attention = LongRopeScaling.DefaultAttention(keys.Count("context_length"), original);
            return new Rotary(dim, theta,
                new LongRopeScaling(shorter, longer, original, keys.Number("rope.scaling.attn_factor", attention)));
        }

        double factor = keys.Number("rope.scaling.factor", 1);
        return new Rotary(dim, theta, keys.Text("rope.scaling.type", "none") switch
        {
            "none" => RotaryScaling.None,
            "linear" => new LinearScaling(factor),
            "yarn" => new YarnScaling(
                factor,
                keys.Count("rope.scaling.original_context_length"),
                keys.Number("rope.scaling.yarn_beta_fast", 32),
                keys.Number("rope.scaling.yarn_beta_slow", 1),
                // A multiplier for all dimensions divides it out again (Hugging Face's mscale_all_dim).
                keys.Number("rope.scaling.attn_factor", 1) * YarnScaling.DefaultAttention(factor)
                    / YarnScaling.DefaultAttention(factor, keys.Number("rope.scaling.yarn_log_multiplier", 0)),
                Truncate: true),
            string other =>
                throw new InvalidDataException($"{keys.Path}: rope scaling \"{other}\" is not supported; none, linear and yarn are."),
        });
    }

    private static LongRopeScaling LongRope(JsonKeys keys, JsonKeys scaling, int context)
    {
        int original = scaling.Integer("original_max_position_embeddings", keys.Integer("original_max_position_embeddings", context));
        return new LongRopeScaling(
            Array.ConvertAll(scaling.Numbers("short_factor"), factor => (float)factor),
            Array.ConvertAll(scaling.Numbers("long_factor"), factor => (float)factor),
            original,
            scaling.Number("attention_factor", LongRopeScaling.DefaultAttention(context, original)));
    }

    private static YarnScaling Yarn(JsonKeys scaling, int context)
    {
        double factor = scaling.Number("factor");
        double m = scaling.Number("mscale", 0);
        double mAll = scaling.Number("mscale_all_dim", 0);
        double attention = m != 0 && mAll != 0
            ? YarnScaling.DefaultAttention(factor, m) / YarnScaling.DefaultAttention(factor, mAll)
            : YarnScaling.DefaultAttention(factor);
        return new YarnScaling(
            factor,
            scaling.Integer("original_max_position_embeddings", context),
            scaling.Number("beta_fast", 32),
            scaling.Number("beta_slow", 1),
            scaling.Number("attention_factor", attention),
            scaling.Flag("truncate", true));
    }
}
