using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Understory.Server.Contract;

/// <summary>
/// Schemas of the records that answers are written from, taken from the serializer's own contracts, so they cannot differ from what is
/// sent. Each record becomes one component, referred to by its name.
/// </summary>
internal sealed class RecordSchemas(JsonSerializerOptions options)
{
    private const string Prefix = "#/components/schemas/";
    private readonly Queue<Type> _open = new();
    private readonly HashSet<Type> _known = [];
    private readonly Dictionary<Type, (string Name, object Value)> _discriminators = [];

    public JsonObject Components { get; } = [];

    public JsonObject Reference(Type type)
    {
        if (_known.Add(type))
        {
            _open.Enqueue(type);
            foreach (JsonDerivedType kind in options.GetTypeInfo(type).PolymorphismOptions?.DerivedTypes ?? [])
            {
                _discriminators[kind.DerivedType] =
                    (options.GetTypeInfo(type).PolymorphismOptions!.TypeDiscriminatorPropertyName, kind.TypeDiscriminator!);
            }
        }

        return new() { ["$ref"] = Prefix + type.Name };
    }

    /// <summary>Writes all that was referred to, and what that refers to.</summary>
    public void Complete()
    {
        while (_open.TryDequeue(out Type? type))
        {
            Components[type.Name] = options.GetTypeInfo(type).PolymorphismOptions is { } kinds
                ? Either(kinds)
                : Discriminated(type,
                    (JsonObject)options.GetJsonSchemaAsNode(type, new JsonSchemaExporterOptions { TransformSchemaNode = Transform }));
        }
    }

    /// <summary>One of several records, told apart by a member that the serializer writes before their own.</summary>
    private JsonObject Either(JsonPolymorphismOptions kinds) =>
        new() { ["anyOf"] = new JsonArray([.. kinds.DerivedTypes.Select(kind => (JsonNode)Reference(kind.DerivedType))]) };

    private JsonObject Discriminated(Type type, JsonObject schema)
    {
        if (_discriminators.TryGetValue(type, out (string Name, object Value) kind))
        {
            schema["properties"] ??= new JsonObject();
            schema["properties"]![kind.Name] = new JsonObject { ["const"] = (string)kind.Value };
            schema["required"] = new JsonArray([kind.Name, .. (schema["required"] as JsonArray ?? []).Select(name => name!.DeepClone())]);
        }

        return schema;
    }

    private JsonObject Transform(JsonSchemaExporterContext context, JsonNode schema)
    {
        Type type = Nullable.GetUnderlyingType(context.TypeInfo.Type) ?? context.TypeInfo.Type;
        bool nullable = context.PropertyInfo is { } property && WrittenAsNull(property);
        if (context.PropertyInfo?.AttributeProvider?.GetCustomAttributes(typeof(WrittenAsAttribute), inherit: true)
            is [WrittenAsAttribute written, ..])
        {
            return JsonNode.Parse(written.Schema)!.AsObject();
        }

        if (context.TypeInfo.Kind == JsonTypeInfoKind.Object && !context.Path.IsEmpty)
        {
            JsonObject reference = Reference(type);
            return nullable ? new JsonObject { ["anyOf"] = new JsonArray(reference, new JsonObject { ["type"] = "null" }) } : reference;
        }

        if (type == typeof(string))
        {
            // The exporter does not look into converters.
            return new JsonObject { ["type"] = nullable ? new JsonArray("string", "null") : "string" };
        }

        if (schema is not JsonObject described)
        {
            return new JsonObject();
        }

        described.Remove("default");
        if (context.TypeInfo.Kind == JsonTypeInfoKind.Enumerable)
        {
            // The exporter does not look into the converter of strings.
            described["items"] = context.TypeInfo.ElementType == typeof(string)
                ? new JsonObject { ["type"] = "string" } : described["items"]?.DeepClone();
        }
        else if (context.TypeInfo.Kind == JsonTypeInfoKind.Object)
        {
            string[] always = [.. context.TypeInfo.Properties.Where(member => !member.IsGetNullable || WrittenAsNull(member))
                .Select(member => member.Name)];
            described["required"] = new JsonArray([.. always.Select(name => (JsonNode)name)]);
            described["type"] = "object";
        }

        if (described["type"] is JsonArray types)
        {
            // "Also as a string" is for readers; and null where it is left out instead.
            bool item = context.PropertyInfo is null;
            string[] left = [.. types.Select(t => (string)t!).Where(t => t != "string" && (t != "null" || nullable || item))];
            described.Remove("pattern");
            described["type"] = left.Length == 1 ? left[0] : new JsonArray([.. left.Select(t => (JsonNode)t)]);
        }

        return described;
    }

    /// <summary>Null is written, not left out.</summary>
    private static bool WrittenAsNull(JsonPropertyInfo property) =>
        property.IsGetNullable
        && property.AttributeProvider?.GetCustomAttributes(typeof(JsonIgnoreAttribute), inherit: true)
        is [JsonIgnoreAttribute { Condition: JsonIgnoreCondition.Never }, ..];
}
