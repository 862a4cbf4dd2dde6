using System.Text.Json;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Chat;

namespace Understory.Server.OpenAi.Responses;

/// <summary>The body of <c>POST /v1/responses</c>, checked.</summary>
/// <param name="TopLogProbs">-1: none wanted; else how many alternatives beside the chosen token, up to 20.</param>
/// <param name="Truncate">Drop the oldest turns of a conversation that does not fit, instead of refusing it: <c>"truncation":
/// "auto"</c>.</param>
/// <param name="Echo">What the response repeats of the request.</param>
public sealed record ResponsesRequest(
    string? Model, Conversation Conversation, int TopLogProbs, bool Truncate, GenerationFields Generation, ResponseEcho Echo)
{
    private static readonly JsonElement NoMetadata = JsonDocument.Parse("{}").RootElement;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ResponsesRequest Read(Fields fields, GenerationDefaults defaults, int vocabulary, SpeculationMode speculation)
    {
        RequestParameters.Refuse(fields, ResponsesParameters.All);
        string? instructions = fields.Text("instructions");
        IReadOnlyList<ChatTurn> turns = ResponseInput.Read(fields);
        IReadOnlyList<Tool> tools = ResponseTools.Read(fields);
        (ToolChoice choice, JsonElement choiceEcho) = ResponseTools.ReadChoice(fields, tools);
        AnswerFormat? format = ReadFormat(fields, out TextOptions text);
        ReasoningOptions reasoning = ReadReasoning(fields);
        bool parallel = fields.Flag("parallel_tool_calls") ?? true;
        bool truncate = ReadTruncation(fields);
        int topLogProbs = ReadLogProbs(fields);
        int? maxTokens = fields.Integer("max_output_tokens", 1, int.MaxValue, "a whole number of at least 1");
        GenerationFields generation = GenerationFields.ReadShared(fields, defaults, vocabulary, speculation) with
        {
            MaxTokens = maxTokens,
            Stop = GenerationFields.ReadStop(fields)
        };
        return new ResponsesRequest(
            fields.Text("model"),
            new Conversation
            {
                Turns = instructions is null ? turns : [new ChatTurn("system", instructions), .. turns],
                Tools = tools,
                ToolChoice = choice,
                ParallelToolCalls = parallel,
                Format = format,
                Thinking = reasoning.Effort is { } effort ? effort != "none" : null,
                Effort = reasoning.Effort is "none" ? null : reasoning.Effort,
                TemplateVariables = ChatRequest.ReadTemplateVariables(fields),
            },
            topLogProbs,
            truncate,
            generation,
            new ResponseEcho(
                instructions, maxTokens, generation.Sampling.Temperature, generation.Sampling.TopP, Math.Max(0, topLogProbs), parallel,
                [.. tools.Select(tool => new FunctionToolBody(tool.Name, tool.Description, tool.Parameters, tool.Strict))],
                choiceEcho, text, reasoning, truncate ? "auto" : "disabled", ReadMetadata(fields),
                fields.Text("user"), fields.Text("safety_identifier"), fields.Text("prompt_cache_key")));
    }

    private static bool ReadTruncation(Fields fields)
    {
        const string Expected = "\"disabled\" or \"auto\"";
        return fields.TryGet("truncation", out JsonElement value) && Fields.Text(value, "truncation", Expected) switch
        {
            "disabled" => false,
            "auto" => true,
            _ => throw Fields.Wrong("truncation", value, Expected),
        };
    }

    private static int ReadLogProbs(Fields fields)
    {
        int? top = fields.Integer("top_logprobs", 0, 20, "a whole number from 0 to 20");
        bool wanted = false;
        if (fields.TryGet("include", out JsonElement include))
        {
            string expected = $"an array of strings such as \"{ResponsesParameters.LogProbs}\"";
            if (include.ValueKind != JsonValueKind.Array)
            {
                throw Fields.Wrong("include", include, expected);
            }

            foreach (JsonElement item in include.EnumerateArray())
            {
                string name = Fields.Text(item, "include", expected);
                wanted |= name == ResponsesParameters.LogProbs;
                if (!ResponsesParameters.Includes.Contains(name))
                {
                    throw Fields.Wrong("include", item, expected);
                }
            }
        }

        return wanted ? top ?? 0 : top is null or 0 ? -1 : top.Value;
    }

    private static AnswerFormat? ReadFormat(Fields fields, out TextOptions echo)
    {
        echo = new TextOptions(new TextFormatBody("text"));
        if (!fields.TryGet("text", out JsonElement text))
        {
            return null;
        }

        if (text.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong("text", text, "an object such as {\"format\": {\"type\": \"text\"}}");
        }

        var options = new Fields(text);
        string? verbosity = options.Text("verbosity");
        echo = echo with { Verbosity = verbosity };
        if (!options.TryGet("format", out JsonElement value))
        {
            return null;
        }

        const string Expected = "an object whose type is \"text\", \"json_object\" or \"json_schema\"";
        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong("text.format", value, Expected);
        }

        var format = new Fields(value);
        switch (format.Text("type"))
        {
            case "text":
                return null;
            case "json_object":
                echo = new TextOptions(new TextFormatBody("json_object"), verbosity);
                return new JsonObjectFormat("text.format");
            case "json_schema":
                string name = ToolFields.CheckName(value, "text.format");
                if (!format.TryGet("schema", out JsonElement schema)
                    || schema.ValueKind is not (JsonValueKind.Object or JsonValueKind.True or JsonValueKind.False))
                {
                    throw ApiException.Invalid("text.format.schema", "text.format.schema must be a JSON schema.");
                }

                JsonElement kept = schema.Clone();
                echo = new TextOptions(
                    new TextFormatBody("json_schema", name, format.Text("description"), kept, format.Flag("strict") ?? false), verbosity);
                return new JsonSchemaFormat("text.format.schema", kept);
            default:
                throw Fields.Wrong("text.format", value, Expected);
        }
    }

    private static ReasoningOptions ReadReasoning(Fields fields)
    {
        if (!fields.TryGet("reasoning", out JsonElement value))
        {
            return new ReasoningOptions(null, null);
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Fields.Wrong("reasoning", value, "an object such as {\"effort\": \"low\"}");
        }

        const string Efforts = "\"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\" or \"max\"";
        var reasoning = new Fields(value);
        string? effort = reasoning.Text("effort");
        return effort is null or "none" or "minimal" or "low" or "medium" or "high" or "xhigh" or "max"
            ? new ReasoningOptions(effort, reasoning.Text("summary"))
            : throw ApiException.Invalid("reasoning.effort", $"reasoning.effort must be {Efforts}, not \"{effort}\".");
    }

    private static JsonElement ReadMetadata(Fields fields)
    {
        if (!fields.TryGet("metadata", out JsonElement value))
        {
            return NoMetadata;
        }

        return value.ValueKind == JsonValueKind.Object && value.EnumerateObject().All(pair => pair.Value.ValueKind == JsonValueKind.String)
            ? value.Clone()
            : throw Fields.Wrong("metadata", value, "an object of strings");
    }
}
