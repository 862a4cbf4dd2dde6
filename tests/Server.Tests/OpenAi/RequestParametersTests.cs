using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Understory.Decoding;
using Understory.Models.Architecture;
using Understory.Server.Anthropic;
using Understory.Server.Contract;
using Understory.Server.OpenAi;
using Understory.Server.OpenAi.Responses;

namespace Understory.Server.Tests.OpenAi;

/// <summary>The tables that describe requests say what the readers really do.</summary>
public sealed class RequestParametersTests
{
    /// <summary>Endpoint, its table, its reader, and the least body that it takes.</summary>
    private static readonly Dictionary<string, (IReadOnlyList<Parameter> Table, Action<Fields> Read, string Least)> Readers = new()
    {
        ["completions"] = (RequestParameters.Completions, fields =>
            CompletionRequest.Read(fields, new GenerationDefaults(), 4096, SpeculationMode.Auto), "{}"),
        ["chat"] = (
            RequestParameters.Chat,
            fields => ChatRequest.Read(fields, new GenerationDefaults(), 4096, SpeculationMode.Auto),
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}"),
        ["embeddings"] = (RequestParameters.Embeddings, fields => EmbeddingRequest.Read(fields, 4096, 192), "{\"input\": \"x\"}"),
        ["responses"] = (ResponsesParameters.All, fields =>
            ResponsesRequest.Read(fields, new GenerationDefaults(), 4096, SpeculationMode.Auto), "{\"input\": \"x\"}"),
        ["messages"] = (
            MessagesParameters.Messages,
            fields => MessagesRequest.Read(fields, new GenerationDefaults(), 4096, SpeculationMode.Auto),
            "{\"max_tokens\": 5, \"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}"),
    };

    public static TheoryData<string> Endpoints => [.. Readers.Keys];

    [Theory]
    [MemberData(nameof(Endpoints))]
    public void Every_field_that_is_asked_for_is_in_the_table_and_the_other_way_round(string endpoint)
    {
        (IReadOnlyList<Parameter> table, Action<Fields> read, string least) = Readers[endpoint];
        var asked = new HashSet<string>();
        using JsonDocument body = JsonDocument.Parse(least);
        read(new Fields(body.RootElement, asked));
        Assert.Equal(table.Where(parameter => parameter.Standing != Standing.Ignored).Select(parameter => parameter.Name)
            .Order(), asked.Order());
        Assert.Equal(table.Count, table.Select(parameter => parameter.Name).Distinct().Count());
        Assert.All(table.Where(parameter => parameter.Standing == Standing.Honoured), parameter => Assert.NotEmpty(parameter.Meaning));
    }

    [Theory]
    [MemberData(nameof(Endpoints))]
    public void The_limits_in_the_table_are_those_of_the_reader(string endpoint)
    {
        int tried = 0;
        foreach (Parameter parameter in Readers[endpoint].Table.Where(parameter => parameter.Standing == Standing.Honoured))
        {
            foreach ((string value, bool valid) in Edges(JsonNode.Parse(parameter.Shape.Schema().ToJsonString())!.AsObject()))
            {
                string? error = Refusal(endpoint, parameter.Name, value);
                Assert.True(valid == error is null, $"{parameter.Name}: {value} was {(error is null ? "taken" : $"refused: {error}")}");
                tried++;
            }
        }

        Assert.InRange(tried, endpoint == "embeddings" ? 6 : 40, 1000);
    }

    [Theory]
    [MemberData(nameof(Endpoints))]
    public void What_is_refused_is_refused_by_name_and_what_is_ignored_may_be_anything(string endpoint)
    {
        foreach (Parameter parameter in Readers[endpoint].Table.Where(parameter => parameter.Standing != Standing.Honoured))
        {
            string? error = Refusal(endpoint, parameter.Name, "{\"type\": \"else\"}");
            Assert.Equal(parameter.Standing == Standing.Refused, error is not null);
            Assert.True(error is null
                || (error.StartsWith(parameter.Name, StringComparison.Ordinal)
                    && error.Contains("not supported", StringComparison.Ordinal)), error);
            Assert.Null(Refusal(endpoint, parameter.Name, "null"));
            foreach ((string value, _) in Edges(JsonNode.Parse(parameter.Shape.Schema().ToJsonString())!.AsObject())
                .Where(edge => edge.Valid))
            {
                Assert.Null(Refusal(endpoint, parameter.Name, value));
            }
        }
    }

    /// <summary>Values at the limits of a schema and just beyond them.</summary>
    private static IEnumerable<(string Value, bool Valid)> Edges(JsonObject schema)
    {
        if (schema["anyOf"] is JsonArray choices)
        {
            return choices.SelectMany(choice => Edges((JsonObject)choice!).Where(edge => edge.Valid));
        }

        return (string?)schema["type"] switch
        {
            "integer" or "number" => Numbers(schema).Append(("\"1\"", false)),
            "boolean" => [("true", true), ("false", true), ("1", false)],
            "string" when schema["enum"] is JsonArray values =>
                values.Select(value => (value!.ToJsonString(), true)).Append(("\"else\"", false)),
            "string" => [("\"" + new string('x', (int?)schema["minLength"] ?? 0) + "\"", true), ("5", false)],
            "array" => Lists(schema),
            _ => [],
        };
    }

    private static IEnumerable<(string Value, bool Valid)> Numbers(JsonObject schema)
    {
        if (schema["exclusiveMinimum"] is { } above)
        {
            yield return (above.ToJsonString(), false);
        }

        if (schema["minimum"] is { } least)
        {
            yield return (least.ToJsonString(), true);
            yield return (((double)least - 0.001 - ((string)schema["type"]! == "integer" ? 0.999 : 0))
                .ToString("R", CultureInfo.InvariantCulture), false);
        }

        if (schema["maximum"] is { } most)
        {
            yield return (most.ToJsonString(), true);
            yield return (((double)most + ((string)schema["type"]! == "integer" ? 1 : 0.001)).ToString("R", CultureInfo.InvariantCulture),
                false);
        }
    }

    private static IEnumerable<(string Value, bool Valid)> Lists(JsonObject schema)
    {
        string? item = Edges(schema["items"] as JsonObject ?? []).Where(edge => edge.Valid).Select(edge => edge.Value).FirstOrDefault();
        int fewest = (int?)schema["minItems"] ?? 0;
        string Of(int count) => $"[{string.Join(',', Enumerable.Repeat(item ?? "{}", count))}]";
        if (item is null)
        {
            // Its items have no edges of their own to make a longer list of.
            if (fewest == 0)
            {
                yield return ("[]", true);
            }

            yield break;
        }

        yield return (Of(fewest), true);
        if (fewest > 0)
        {
            yield return (Of(fewest - 1), false);
        }

        if ((int?)schema["maxItems"] is { } most)
        {
            yield return (Of(most), true);
            yield return (Of(most + 1), false);
        }
    }

    /// <summary>The error for the least body with this field in it; null: taken.</summary>
    private static string? Refusal(string endpoint, string name, string value)
    {
        JsonObject body = (JsonObject)JsonNode.Parse(Readers[endpoint].Least)!;
        body.Remove(name);
        string rest = body.ToJsonString()[1..^1];
        // What goes together only.
        string beside = name switch
        {
            "stream_options" or "speculation_events" => "\"stream\": true",
            "top_logprobs" => "\"logprobs\": true",
            "tool_choice" when endpoint == "chat" => "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]",
            "tool_choice" when endpoint == "responses" => "\"tools\": [{\"type\": \"function\", \"name\": \"f\"}]",
            _ => "\"a\": 1",
        };
        string[] parts = [$"\"{name}\": {value}", beside, .. rest.Length > 0 ? [rest] : Array.Empty<string>()];
        try
        {
            Fields.Read(Encoding.UTF8.GetBytes($"{{{string.Join(',', parts)}}}"), fields =>
            {
                Readers[endpoint].Read(fields);
                return true;
            });
            return null;
        }
        catch (ApiException error)
        {
            Assert.Equal(400, error.Status);
            return error.Message;
        }
    }
}
