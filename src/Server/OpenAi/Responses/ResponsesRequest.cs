using System.Text.Json;
using Understory.Server.Chat;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi.Responses;

/// <summary>Reads the body of <c>POST /v1/responses</c>.</summary>
public static class ResponsesRequest
{
    private static readonly JsonElement NoMetadata = JsonDocument.Parse("{}").RootElement;

    /// <exception cref="ApiException">400, naming the field.</exception>
    public static ChatCall Read(Fields fields, RequestContext context)
    {
        fields.Check(ResponsesParameters.All);
        string? instructions = fields.Text("instructions");
        IReadOnlyList<ChatTurn> turns = ResponseInput.Read(fields);
        OfferedTools tools = ResponseTools.Read(fields);
        (ToolChoice choice, JsonElement choiceEcho) = ResponseTools.ReadChoice(fields, tools);
        (AnswerForm? form, TextOptions text) = ReadForm(fields.Object("text"));
        Fields thought = fields.Object("reasoning");
        var reasoning = new ReasoningOptions(thought.Text("effort"), thought.Text("summary"));
        bool parallel = fields.Flag("parallel_tool_calls") ?? true;
        bool truncate = fields.Text("truncation") == "auto";
        int topLogProbs = ReadLogProbs(fields);
        int? maxTokens = fields.Integer("max_output_tokens");
        GenerationFields generation = GenerationFields.ReadShared(fields, context) with
        {
            MaxTokens = maxTokens,
            Stop = GenerationFields.ReadStop(fields),
        };
        var echo = new ResponseEcho(
            instructions, maxTokens, generation.Sampling.Temperature, fields.Number("top_p") ?? generation.Sampling.TopP,
            Math.Max(0, topLogProbs), parallel,
            [.. tools.Tools.Select(tool => new FunctionToolBody(tool.Name, tool.Description, tool.Parameters, tool.Strict))],
            choiceEcho, text, reasoning, truncate ? "auto" : "disabled",
            fields.TryGet("metadata", out JsonElement metadata) ? metadata.Clone() : NoMetadata,
            fields.Text("user"), fields.Text("safety_identifier"), fields.Text("prompt_cache_key"));
        return new ChatCall(
            fields.Text("model"),
            new Conversation
            {
                Turns = instructions is null ? turns : [new ChatTurn("system", instructions), .. turns],
                Tools = tools.Tools,
                ToolChoice = choice,
                ParallelToolCalls = parallel,
                Form = form,
                Thinking = reasoning.Effort is { } effort ? effort != "none" : null,
                Effort = reasoning.Effort is "none" ? null : reasoning.Effort,
                TemplateVariables = ChatRequest.ReadTemplateVariables(fields),
            },
            generation)
        {
            TopLogProbs = topLogProbs,
            Truncate = truncate,
            TurnsField = "input",
            IdPrefix = "resp_",
            Writer = (head, tokenizer, chat, _) => new ResponseWriter(head, tokenizer, topLogProbs, echo, chat, tools),
            Warnings = tools.Warnings,
        };
    }

    private static int ReadLogProbs(Fields fields)
    {
        int? top = fields.Integer("top_logprobs");
        bool wanted = fields.List("include").Any(name => name.ValueEquals(ResponsesParameters.LogProbs));
        return wanted ? top ?? 0 : top is null or 0 ? -1 : top.Value;
    }

    private static (AnswerForm? Form, TextOptions Echo) ReadForm(Fields text)
    {
        string? verbosity = text.Text("verbosity");
        Fields format = text.Object("format");
        switch (format.Text("type"))
        {
            case "json_object":
                return (new JsonObjectForm("text.format"), new TextOptions(new TextFormatBody("json_object"), verbosity));
            case "json_schema":
                const string Field = "text.format.schema";
                format.TryGet("schema", out JsonElement given);
                JsonElement schema = AnswerFormFields.ReadSchema(given, Field);
                var echo = new TextFormatBody("json_schema", format.Text("name"), format.Text("description"), schema,
                    format.Flag("strict") ?? false);
                return (new JsonSchemaForm(Field, schema), new TextOptions(echo, verbosity));
            default:
                return (null, new TextOptions(new TextFormatBody("text"), verbosity));
        }
    }
}
