using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.WebUtilities;

namespace Understory.Server.Contract;

/// <summary>
/// The OpenAPI 3.1 document of a list of operations. Requests are described by the tables that their readers go by, answers by the records
/// that they are written from.
/// </summary>
public static partial class OpenApiDocument
{
    private const string KeyScheme = "key";
    private static readonly JsonSerializerOptions Readable =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="options">What answers are written with: it knows all their records.</param>
    /// <param name="error">The record that errors are written from.</param>
    public static byte[] Write(IEnumerable<ApiOperation> operations, JsonSerializerOptions options, Type error, string version)
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
            ["security"] = new JsonArray(new JsonObject(), new JsonObject { [KeyScheme] = new JsonArray() }),
            ["paths"] = paths,
            ["components"] = new JsonObject
            {
                ["schemas"] = records.Components,
                ["securitySchemes"] = new JsonObject
                {
                    [KeyScheme] = new JsonObject
                    {
                        ["type"] = "http",
                        ["scheme"] = "bearer",
                        ["description"] = "Needed where the server was started with --api-key."
                    },
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
            described["security"] = new JsonArray(new JsonObject());
        }

        described["responses"] = Responses(operation, records, error);
        return described;
    }

    private static JsonObject Responses(ApiOperation operation, RecordSchemas records, Type error)
    {
        JsonObject Body(Type? type) =>
            type is null ? new() { ["type"] = operation.MediaType == "application/json" ? "object" : "string" } : records.Reference(type);

        var content = new JsonObject { [operation.MediaType] = new JsonObject { ["schema"] = Body(operation.Answer) } };
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
