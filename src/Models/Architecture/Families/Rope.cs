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

    /// <summary>
    /// GGUF's: keys, or factors for each frequency as a tensor (Llama 3). What a file leaves out is as llama.cpp takes it: a factor
    /// without a type is linear, in older files under <c>rope.scale_linear</c>; the original context is the whole one.
    /// </summary>
    public static Rotary Read(GgufKeys keys, int headDim)
    {
        int dim = keys.Count("rope.dimension_count", headDim);
        double theta = keys.Number("rope.freq_base", 10000);
        int original = keys.Count("rope.scaling.original_context_length", keys.Count("context_length"));
        if (keys.Floats("rope_factors_long.weight", dim / 2) is { } longer
            && keys.Floats("rope_factors_short.weight", dim / 2) is { } shorter)
        {
            double attention = LongRopeScaling.DefaultAttention(keys.Count("context_length"), original);
            return new Rotary(dim, theta,
                new LongRopeScaling(shorter, longer, original, keys.Number("rope.scaling.attn_factor", attention)));
        }

        double factor = keys.Number("rope.scaling.factor", keys.Number("rope.scale_linear", 0)) is not 0 and var said ? said : 1;
        string type = keys.Text("rope.scaling.type", "linear");
        keys.RequireUnset("rope.scaling.alpha");
        if (keys.Floats("rope_freqs.weight", dim / 2) is { } factors)
        {
            double all = type == "none" ? 1 : factor;
            return type == "yarn"
                ? throw new InvalidDataException($"{keys.Path}: rope scaling \"yarn\" beside rope_freqs.weight is not supported.")
                : new Rotary(dim, theta, new FactorsScaling(Array.ConvertAll(factors, each => (float)(each * all))));
        }

        return new Rotary(dim, theta, type switch
        {
            "none" => RotaryScaling.None,
            "linear" or "longrope" => new LinearScaling(factor),
            "yarn" => Yarn(keys, factor, original),
            _ => throw new InvalidDataException(
                $"{keys.Path}: rope scaling \"{type}\" is not supported; none, linear, yarn and longrope are."),
        });
    }

    private static YarnScaling Yarn(GgufKeys keys, double factor, int original)
    {
        if (keys.Number("rope.scaling.yarn_ext_factor", 1) is not 1 and var mix)
        {
            throw new InvalidDataException($"{keys.Path}: rope.scaling.yarn_ext_factor is {mix}; only 1 is supported.");
        }

        return new YarnScaling(
            factor,
            original,
            keys.Number("rope.scaling.yarn_beta_fast", 32),
            keys.Number("rope.scaling.yarn_beta_slow", 1),
            // A multiplier for all dimensions divides it out again (Hugging Face's mscale_all_dim).
            keys.Number("rope.scaling.attn_factor", 1) * keys.Number("rope.scaling.yarn_attn_factor", 1)
                * YarnScaling.DefaultAttention(factor)
                / YarnScaling.DefaultAttention(factor, keys.Number("rope.scaling.yarn_log_multiplier", 0)),
            Truncate: true);
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
