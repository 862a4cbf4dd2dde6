using Understory.Decoding;
using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>
/// Turns checked requests into what the decoding thread takes: token ids that fit, one <see cref="GenerationRequest"/> per choice.
/// </summary>
public static class PromptReader
{
    /// <exception cref="ApiException">404: the request names another model.</exception>
    public static void CheckModel(ServedModel model, string? name)
    {
        if (!model.Answers(name))
        {
            throw new ApiException(404, $"The model '{name}' does not exist; this server has '{model.Id}'. Ask for that, or start the "
                + $"server with --alias '{name}', or with --alias '{ServedModel.AnyName}' to have it answer to any name.", "model",
                "model_not_found");
        }
    }

    /// <exception cref="ApiException">404: the request names another model. 400: its mode needs a drafter that was not loaded.</exception>
    public static void Check(ServedModel model, string? name, SpeculationMode mode)
    {
        CheckModel(model, name);
        if (!model.Modes.Contains(mode))
        {
            string loaded = string.Join(", ", model.Modes.Select(m => m.ToString().ToLowerInvariant()));
            throw ApiException.Invalid("speculation", $"speculation \"{mode.ToString().ToLowerInvariant()}\" needs a drafter that this "
                + $"server was started without; it has: {loaded}.");
        }
    }

    /// <summary>How this model fills in the middle, where a request has a suffix; null: it has none.</summary>
    /// <exception cref="ApiException">400: the model has no tokens for it.</exception>
    public static FillInTheMiddle? Infill(ServedModel model, string? suffix) => suffix is null
        ? null
        : FillInTheMiddle.Find(model.Tokenizer) ?? throw ApiException.Invalid(
            "suffix",
            "suffix is not supported by this model: its vocabulary has no tokens for filling in the middle (such as <|fim_prefix|>); "
                + "leave it out, or serve a model that has them.",
            "unsupported_parameter");

    /// <summary>A prompt longer than the context by far is not tokenized to its end.</summary>
    public static int MostCounted(ServedModel model) => (2 * model.Context) + 1000;

    /// <summary>The tokens of a text that must fit into the context; of one that does not, as many as show that.</summary>
    public static int[] Tokens(ServedModel model, string text, bool addSpecialTokens = true) =>
        model.Tokenizer.Encode(text, addSpecialTokens, MostCounted(model));

    /// <summary>A prompt's tokens, and where there is a suffix those around the gap.</summary>
    /// <param name="special">A text gets the tokens that begin a text.</param>
    public static int[] Tokens(ServedModel model, Prompt prompt, string? suffix, FillInTheMiddle? infill, bool special) => infill is null
        ? prompt.Tokens ?? Tokens(model, prompt.Text!, special)
        : infill.Join(
            prompt.Tokens is null && special ? Tokens(model, "") : [],
            prompt.Tokens ?? Tokens(model, prompt.Text!, addSpecialTokens: false),
            Tokens(model, suffix!, addSpecialTokens: false));

    /// <summary>The tokens of a prompt; an empty one becomes the token that documents begin with.</summary>
    /// <param name="field">The request's field, for the error.</param>
    /// <param name="answer">Tokens that must fit behind it.</param>
    /// <exception cref="ApiException">400: empty where the model has no such token, or too long.</exception>
    public static int[] Fit(ServedModel model, int[] tokens, string field, int answer = 1)
    {
        if (tokens.Length == 0)
        {
            tokens = model.Start is { } start
                ? [start]
                : throw ApiException.Invalid(field, $"{field} is empty, and this model has no token to begin with; send some text.");
        }

        // Agents compact upon these words: Anthropic's in front, OpenAI's behind, each as their own clients look for them.
        return tokens.Length + answer <= model.Context
            ? tokens
            : throw ApiException.Invalid(
                field,
                $"prompt is too long: {tokens.Length} tokens > {model.Context - answer} maximum. This model's maximum context length is "
                    + $"{model.Context} tokens{(answer > 0 ? ", of which at least one is for the answer" : "")}; send a shorter prompt.",
                "context_length_exceeded");
    }

    /// <param name="maxTokens">Cut to what the context leaves; the answer then ends with "length".</param>
    public static IEnumerable<GenerationRequest> Choices(
        ServedModel model, int[] prompt, GenerationFields fields, int maxTokens, IReadOnlyList<string> stop, int topLogProbs)
    {
        var request = new GenerationRequest
        {
            Prompt = prompt,
            Sampling = fields.Sampling,
            MaxTokens = Math.Min(maxTokens, model.Context - prompt.Length),
            Stop = stop,
            IgnoreEos = fields.IgnoreEos,
            Speculation = fields.Speculation,
            SpeculationNodes = fields.SpeculationNodes,
            TopLogProbs = topLogProbs,
            ReportTree = fields.SpeculationEvents,
        };
        for (uint choice = 0; choice < fields.Choices; choice++)
        {
            yield return request with { Sampling = fields.Sampling with { Choice = choice } };
        }
    }
}
