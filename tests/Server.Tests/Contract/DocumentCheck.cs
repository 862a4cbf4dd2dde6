using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Schema;
using Microsoft.OpenApi;
using Microsoft.OpenApi.Reader;

namespace Understory.Server.Tests.Contract;

/// <summary>An OpenAPI document held to the specification, and answers held to the document.</summary>
internal sealed class DocumentCheck
{
    private readonly JsonNode _document;
    private readonly JsonObject _records;

    public DocumentCheck(JsonNode document)
    {
        _document = document;
        ReadResult read = OpenApiDocument.Parse(document.ToJsonString(), OpenApiConstants.Json);
        Version = (string)document["openapi"]!;
        _records = (JsonObject)Pointed(document["components"]!["schemas"]!);
        Problems =
        [
            .. read.Diagnostic!.Errors.Concat(read.Diagnostic.Warnings).Select(error => error.ToString()),
            .. RequestProblems(),
            .. CloseRecords(),
        ];
    }

    public string Version { get; }

    public IEnumerable<string> Paths => _document["paths"]!.AsObject().Select(path => path.Key);

    /// <summary>What is wrong with the document itself.</summary>
    public IReadOnlyList<string> Problems { get; }

    /// <summary>What is wrong with an answer; null: it is as the document says.</summary>
    public string? Problem(string path, string method, int status, string type, JsonNode body)
    {
        JsonNode? responses = _document["paths"]![path]?[method]?["responses"];
        JsonNode? response = responses?[status.ToString()] ?? (status >= 400 ? responses?["default"] : null);
        if (response?["content"]?[type]?["schema"] is not JsonObject schema)
        {
            return $"{method} {path} answered {status} as {type}, which the document does not know";
        }

        JsonNode whole = Pointed(schema);
        whole["$defs"] = _records.DeepClone();
        EvaluationResults results = Build(whole, Dialect.Draft202012).Evaluate(
            JsonSerializer.SerializeToElement(body), new EvaluationOptions { OutputFormat = OutputFormat.List });
        return results.IsValid ? null : $"{method} {path} {status}: {JsonSerializer.Serialize(results)} in {body.ToJsonString()}";
    }

    private static JsonSchema Build(JsonNode schema, Dialect dialect) =>
        JsonSchema.Build(JsonSerializer.SerializeToElement(schema), new BuildOptions { Dialect = dialect });

    private static JsonNode Pointed(JsonNode schema) =>
        JsonNode.Parse(schema.ToJsonString().Replace("#/components/schemas/", "#/$defs/", StringComparison.Ordinal))!;

    /// <summary>Requests' schemas, in a dialect that refuses keywords that it does not know: none is misspelt.</summary>
    private IEnumerable<string> RequestProblems()
    {
        foreach ((string path, JsonNode? item) in _document["paths"]!.AsObject())
        {
            foreach ((string method, JsonNode? operation) in item!.AsObject())
            {
                if (operation!["requestBody"]?["content"]!["application/json"]!["schema"] is not { } schema)
                {
                    continue;
                }

                string? problem = null;
                try
                {
                    Build(schema, Dialect.V1_2026);
                }
                catch (Exception e) when (e is JsonSchemaException or JsonException or InvalidOperationException)
                {
                    problem = $"{method} {path}: {e.Message}";
                }

                if (problem is not null)
                {
                    yield return problem;
                }
            }
        }
    }

    /// <summary>What is sent and not described is as wrong as what is described and not sent: records are closed here.</summary>
    private IEnumerable<string> CloseRecords()
    {
        foreach ((string name, JsonNode? record) in _records)
        {
            if (record!["anyOf"] is not null)
            {
                continue;
            }

            if (record["properties"] is null)
            {
                yield return $"the record {name} has no properties";
            }

            record["additionalProperties"] = false;
        }
    }
}
