namespace Understory.Models.Architecture.Families;

/// <summary>
/// A family of models: how its config reads, from Hugging Face's files and from GGUF, under which names it keeps its tensors, and what its
/// layers are made of. One file says all of that; nobody else asks which family a model is of.
/// </summary>
public abstract class Family
{
    private protected Family()
    {
    }

    /// <summary>Every family that can be run.</summary>
    public static IReadOnlyList<Family> All { get; } =
    [
        new Gpt2(), new Llama(), new Mistral(), new Ministral3(), new Qwen2(), new Qwen3(), new Gemma2(), new Gemma3(), new Gemma4(),
        new Phi3(), new SmolLm3(), new Granite(), new Olmo2(), new Mixtral(), new Qwen3Moe(), new GptOss(), new Cohere2(), new Glm4(),
        new MuseGlimmer(), new Qwen35(), new Qwen35Moe(), new Qwen3Next(),
    ];

    /// <summary>As its <c>config.json</c> says: <c>model_type</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Every <c>model_type</c> that it reads.</summary>
    internal virtual string[] Types => [Name];

    /// <summary><c>general.architecture</c> of its GGUF files; null: they are another family's.</summary>
    internal abstract string? GgufName { get; }

    internal abstract TensorNames HuggingFaceNames { get; }

    internal abstract TensorNames GgufNames { get; }

    /// <summary>The model that a <c>config.json</c> describes, less its end and begin tokens.</summary>
    /// <exception cref="InvalidDataException">A key is missing, of the wrong type or of a value that is not supported; names
    /// it.</exception>
    internal abstract ModelConfig Read(JsonKeys config);

    /// <summary>The model that a GGUF file describes, less its end and begin tokens.</summary>
    /// <exception cref="InvalidDataException">A key is missing, of the wrong type or of a value that is not supported; names
    /// it.</exception>
    internal abstract ModelConfig Read(GgufKeys keys);

    /// <summary>
    /// A model of this family with so many layers of so wide a stream, heads of 64 dimensions and all else as is usual; for figures of
    /// speed.
    /// </summary>
    internal abstract ModelConfig OfShape(int hidden, int layers, int vocabulary, int context);

    private protected static Kernels.Activation ActivationOf(JsonKeys keys, string key) => keys.String(key) switch
    {
        "gelu_new" or "gelu_pytorch_tanh" => Kernels.Activation.GeluTanh,
        "silu" or "swish" => Kernels.Activation.Silu,
        _ => throw keys.Unsupported(key, "gelu_new, gelu_pytorch_tanh and silu are"),
    };
}
