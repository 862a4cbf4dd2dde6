using System.Text.Json;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>Reads the body of <c>POST /v1/chat/completions</c>.</summary>
public static class ChatRequest
{
    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ChatCall Read(Fields fields, RequestContext context)
    {
        fields.Check(RequestParameters.Chat);
        ToolFields tools = ToolFields.Read(fields);
        string? effort = fields.Text("reasoning_effort") ?? fields.Object("reasoning").Text("effort");
        int topLogProbs = ReadLogProbs(fields);
        GenerationFields generation = GenerationFields.Read(fields, context);
        Dictionary<string, object?> variables = ReadTemplateVariables(fields);
        if (fields.TryGet("documents", out JsonElement documents))
        {
            variables.TryAdd("documents", ChatTemplate.FromJson(documents));
        }

        return new ChatCall(
            fields.Text("model"),
            new Conversation
            {
                Turns = MessageFields.Read(fields),
                Tools = tools.Offered.Tools,
                ToolChoice = tools.Choice,
                ParallelToolCalls = tools.Parallel,
                Form = AnswerFormFields.Read(fields),
                Thinking = effort is null ? ReadThinking(fields) : effort != "none",
                Effort = effort is "none" ? null : effort,
                TemplateVariables = variables,
                ContinueFinal = ReadContinue(fields),
            },
            generation)
        {
            TopLogProbs = topLogProbs,
            Prediction = fields.TryGet("prediction", out JsonElement prediction)
                ? ContentParts.ReadTexts(prediction.GetProperty("content")) : null,
            IdPrefix = "chatcmpl-",
            Writer = (head, tokenizer, chat, _) => new ChatCompletionWriter(head, new TokenTexts(tokenizer), topLogProbs,
                generation.IncludeUsage, chat, generation.Choices, tools.Offered, tools.Older),
        };
    }

    /// <summary><c>chat_template_kwargs</c>: further variables for the model's chat template, such as <c>enable_thinking</c>.</summary>
    public static Dictionary<string, object?> ReadTemplateVariables(Fields fields)
    {
        var variables = new Dictionary<string, object?>();
        if (fields.TryGet("chat_template_kwargs", out JsonElement given))
        {
            foreach ((string name, object? value) in (IReadOnlyDictionary<string, object?>)ChatTemplate.FromJson(given)!)
            {
                variables[name] = value;
            }
        }

        return variables;
    }

    /// <summary>Whether a model that can think shall, by the names of Qwen's and DeepSeek's services.</summary>
    private static bool? ReadThinking(Fields fields) =>
        fields.Flag("enable_thinking") ?? (fields.Object("thinking").Text("type") is { } type ? type != "disabled" : null);

    private static bool ReadContinue(Fields fields)
    {
        bool goesOn = fields.Flag("continue_final_message") is true;
        bool opens = fields.Flag("add_generation_prompt") is not false;
        return goesOn != opens || (goesOn && !fields.Has("add_generation_prompt"))
            ? goesOn
            : throw ApiException.Invalid("add_generation_prompt", "add_generation_prompt is false where \"continue_final_message\" is "
                + "true, "
                + "and nowhere else.");
    }

    private static int ReadLogProbs(Fields fields)
    {
        int? top = fields.Integer("top_logprobs");
        if (fields.Flag("logprobs") is true)
        {
            return top ?? 0;
        }

        return top is null or 0
            ? -1
            : throw ApiException.Invalid("top_logprobs", "top_logprobs needs \"logprobs\": true beside it.");
    }
}
