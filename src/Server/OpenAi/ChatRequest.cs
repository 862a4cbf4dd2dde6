using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi;

/// <summary>The body of <c>POST /v1/chat/completions</c>, checked.</summary>
/// <param name="TopLogProbs">-1: none wanted; else how many alternatives beside the chosen token, up to 20.</param>
public sealed record ChatRequest(string? Model, Conversation Conversation, int TopLogProbs, GenerationFields Generation)
{
    /// <summary>The answer as the client expects it; null: it does not say.</summary>
    public string? Prediction { get; init; }

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ChatRequest Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation)
    {
        RequestParameters.Refuse(fields, RequestParameters.Chat);
        return new ChatRequest(
            fields.Text("model"),
            ReadConversation(fields),
            ReadLogProbs(fields),
            GenerationFields.Read(fields, defaults, vocabulary, speculation))
        {
            Prediction = PredictionField.Read(fields),
        };
    }

    private static Conversation ReadConversation(Fields fields)
    {
        ToolFields tools = ToolFields.Read(fields);
        string? effort = ReadEffort(fields);
        return new Conversation
        {
            Turns = MessageFields.Read(fields),
            Tools = tools.Tools,
            ToolChoice = tools.Choice,
            ParallelToolCalls = tools.Parallel,
            Format = FormatFields.Read(fields),
            Thinking = effort is null ? null : effort != "none",
            Effort = effort is null or "none" ? null : effort,
            TemplateVariables = ReadTemplateVariables(fields),
        };
    }

    /// <summary>Models whose template can think or not, or asks how much, are told; to others it means nothing.</summary>
    private static string? ReadEffort(Fields fields)
    {
        const string Expected = "one of \"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\"";
        return !fields.TryGet("reasoning_effort", out JsonElement value) ? null
            : Fields.Text(value, "reasoning_effort", Expected) is var effort
            && effort is "none" or "minimal" or "low" or "medium" or "high" or "xhigh" ? effort
            : throw Fields.Wrong("reasoning_effort", value, Expected);
    }

    /// <summary><c>chat_template_kwargs</c>: further variables for the model's chat template, such as <c>enable_thinking</c>.</summary>
    public static Dictionary<string, object?> ReadTemplateVariables(Fields fields)
    {
        const string Name = "chat_template_kwargs";
        if (!fields.TryGet(Name, out JsonElement value))
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong(Name, value, "an object of variables for the chat template");
        }

        try
        {
            return new Dictionary<string, object?>((IReadOnlyDictionary<string, object?>)ChatTemplate.FromJson(value)!);
        }
        catch (ChatTemplateException error)
        {
            throw new ApiException(400, $"{Name}: {error.Message}", Name);
        }
    }

    private static int ReadLogProbs(Fields fields)
    {
        int? top = fields.Integer("top_logprobs", 0, 20, "a whole number from 0 to 20");
        if (fields.Flag("logprobs") is true)
        {
            return top ?? 0;
        }

        return top is null or 0
            ? -1
            : throw ApiException.Invalid("top_logprobs", "top_logprobs needs \"logprobs\": true beside it.");
    }
}
