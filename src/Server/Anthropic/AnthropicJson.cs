using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Server.Wire;

namespace Understory.Server.Anthropic;

/// <summary>How <see cref="AnthropicBody"/> becomes JSON: as all other answers do.</summary>
[JsonSerializable(typeof(MessageBody))]
[JsonSerializable(typeof(MessageStart))]
[JsonSerializable(typeof(ContentBlockStart))]
[JsonSerializable(typeof(ContentBlockDelta))]
[JsonSerializable(typeof(ContentBlockStop))]
[JsonSerializable(typeof(MessageDelta))]
[JsonSerializable(typeof(MessageStop))]
[JsonSerializable(typeof(Ping))]
[JsonSerializable(typeof(MessageError))]
[JsonSerializable(typeof(TokenCount))]
[JsonSerializable(typeof(ServedModelBody))]
[JsonSerializable(typeof(ServedModelsBody))]
public sealed partial class AnthropicJson : JsonSerializerContext
{
    public static AnthropicJson Context { get; } = new(new JsonSerializerOptions(Json.Style));
}
