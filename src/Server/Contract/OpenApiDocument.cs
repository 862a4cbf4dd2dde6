using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.WebUtilities;
using Understory.Server.Wire;

namespace Understory.Server.Contract;

/// <summary>
/// The OpenAPI 3.1 document of a list of operations. Requests are described by the tables that their readers go by, answers by the records
/// that they are written from.
/// </summary>
public static partial class OpenApiDocument
{
    private const string BearerScheme = "bearer";
    private const string HeaderScheme = "x-api-key";
    private static readonly JsonSerializerOptions Readable =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="options">What answers are written with: it knows all their records.</param>
    /// <param name="error">The record that errors are written from.</param>
    /// <param name="keyed">Requests need a key.</param>
    public static byte[] Write(IEnumerable<ApiOperation> operations, JsonSerializerOptions options, Type error, string version, bool keyed)
    {
        var records = new RecordSchemas(options);
        var paths = new JsonObject();
        foreach (ApiOperation operation in operations)
        {
            string path = PathOf(operation.Route);
            JsonObject item = paths[path] as JsonObject ?? [];
            paths[path] = item;
            item[operation.Method.ToLowerInvariant()] = Describe(operation, records, operation.Error ?? error);
        }

        records.Complete();
        var document = new JsonObject
        {
            ["openapi"] = "3.1.1",
            ["info"] = new JsonObject
            {
                ["title"] = "Understory",
                ["version"] = version,
                ["description"] = "A local, OpenAI-compatible server for language models that decodes by staged tree speculation.",
            },
            ["servers"] = new JsonArray(new JsonObject { ["url"] = "/" }),
            ["security"] = keyed
                ? new JsonArray(new JsonObject { [BearerScheme] = new JsonArray() }, new JsonObject { [HeaderScheme] = new JsonArray() })
                : new JsonArray(),
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["schemas"] = records.Components,
                ["securitySchemes"] = new JsonObject
                {
                    [BearerScheme] = new JsonObject
                    {
                        ["type"] = "http",
                        ["scheme"] = "bearer",
                        ["description"] = "Needed where the server was started with --api-key; this, or x-api-key.",
                    },
                    [HeaderScheme] = new JsonObject { ["type"] = "apiKey", ["in"] = "header", ["name"] = HeaderScheme },
                },
            },
        };
        return JsonSerializer.SerializeToUtf8Bytes(document, Readable);
    }

    /// <summary><c>/v1/models/{**name}</c> as OpenAPI writes it: <c>/v1/models/{name}</c>.</summary>
    public static string PathOf(string route) => CatchAll().Replace(route, "{");

    private static JsonObject Describe(ApiOperation operation, RecordSchemas records, Type error)
    {
        var described = new JsonObject { ["operationId"] = operation.Id, ["summary"] = operation.Summary };
        JsonNode[] parameters =
        [
            .. PathParameter().Matches(operation.Route).Select(match => new JsonObject
            {
                ["name"] = match.Groups[1].Value,
                ["in"] = "path",
                ["required"] = true,
                ["schema"] = new JsonObject { ["type"] = "string", ["minLength"] = 1 },
            }),
            .. operation.AnswersAnthropic is null ? [] : new[]
            {
                new JsonObject
                {
                    ["name"] = "anthropic-version",
                    ["in"] = "header",
                    ["description"] = "Of any value: the answer has Anthropic's shape.",
                    ["schema"] = new JsonObject { ["type"] = "string" },
                },
            },
        ];
        if (parameters.Length > 0)
        {
            described["parameters"] = new JsonArray(parameters);
        }

        if (operation.Body is { } fields)
        {
            described["requestBody"] = new JsonObject
            {
                ["required"] = true,
                ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = Shape.Object(fields).Schema() } },
            };
        }

        if (operation.Open)
        {
            described["security"] = new JsonArray();
        }

        described["responses"] = Responses(operation, records, error);
        return described;
    }

    private static JsonObject Responses(ApiOperation operation, RecordSchemas records, Type error)
    {
        JsonObject Body(Type? type) =>
            type is null ? new() { ["type"] = operation.MediaType == "application/json" ? "object" : "string" } : records.Reference(type);

        JsonObject whole = operation.AnswersAnthropic is { } other
            ? new() { ["anyOf"] = new JsonArray(Body(operation.Answer), records.Reference(other)) } : Body(operation.Answer);
        var content = new JsonObject { [operation.MediaType] = new JsonObject { ["schema"] = whole } };
        if (operation.Events.Count > 0)
        {
            // OpenAPI 3.1 has no word for the events of a stream: the schema is that of the JSON behind each "data: ".
            content["text/event-stream"] = new JsonObject
            {
                ["schema"] = operation.Events is [Type single]
                    ? records.Reference(single)
                    : new JsonObject
                    {
                        ["anyOf"] = new JsonArray([.. operation.Events.Select(chunk => (JsonNode)records.Reference(chunk))])
                    },
            };
        }

        var responses = new JsonObject();
        if (operation.Succeeds)
        {
            responses["200"] = new JsonObject { ["description"] = "OK", ["headers"] = RequestId(), ["content"] = content };
        }

        foreach ((int status, string meaning) in operation.AlsoAnswers)
        {
            responses[Name(status)] = new JsonObject
            {
                ["description"] = meaning,
                ["headers"] = RequestId(),
                ["content"] = new JsonObject { [operation.MediaType] = new JsonObject { ["schema"] = Body(operation.Answer) } },
            };
        }

        int[] always = operation.Open ? [403] : [401, 403];
        foreach (int status in operation.Errors.Concat(always).Order())
        {
            JsonObject headers = RequestId();
            if (status is 429 or 503)
            {
                headers["Retry-After"] = new JsonObject
                {
                    ["description"] = "Seconds after which to try again.",
                    ["schema"] = new JsonObject { ["type"] = "integer" }
                };
            }

            responses[Name(status)] = new JsonObject
            {
                ["description"] = ReasonPhrases.GetReasonPhrase(status),
                ["headers"] = headers,
                ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = records.Reference(error) } },
            };
        }

        // Whatever the path: a head that is too large, a client that is too slow, a failure of the server.
        responses["default"] = new JsonObject
        {
            ["description"] = "Any other error",
            ["headers"] = RequestId(),
            ["content"] = new JsonObject { ["application/json"] = new JsonObject { ["schema"] = records.Reference(error) } },
        };
        return responses;
    }

    private static JsonObject RequestId() => new()
    {
        ["x-request-id"] = new JsonObject
        {
            ["description"] = "The request's id: the client's own where it sent one.",
            ["schema"] = new JsonObject { ["type"] = "string" }
        },
    };

    private static string Name(int status) => status.ToString(CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\{\*+")]
    private static partial Regex CatchAll();

    [GeneratedRegex(@"\{\**(\w+)\}")]
    private static partial Regex PathParameter();
}
