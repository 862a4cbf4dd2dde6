using System.Text.Json;
using System.Text.Json.Serialization;
using Understory.Server.OpenAi.Responses;
using Understory.Server.Wire;

namespace Understory.Server.OpenAi;

/// <summary>A body of OpenAI's API, or of what other local servers have beside it.</summary>
public abstract record OpenAiBody : IJsonBody
{
    JsonSerializerContext IJsonBody.Json => OpenAiJson.Context;
}

/// <summary>How <see cref="OpenAiBody"/> becomes JSON: as all other answers do.</summary>
[JsonSerializable(typeof(CompletionBody))]
[JsonSerializable(typeof(ChatBody))]
[JsonSerializable(typeof(ChatChunk))]
[JsonSerializable(typeof(ResponseBody))]
[JsonSerializable(typeof(ResponseStateEvent))]
[JsonSerializable(typeof(OutputItemEvent))]
[JsonSerializable(typeof(ContentPartEvent))]
[JsonSerializable(typeof(DeltaEvent))]
[JsonSerializable(typeof(TextDoneEvent))]
[JsonSerializable(typeof(ArgumentsDoneEvent))]
[JsonSerializable(typeof(InputDoneEvent))]
[JsonSerializable(typeof(ErrorEvent))]
[JsonSerializable(typeof(InputTokensBody))]
[JsonSerializable(typeof(EmbeddingsBody))]
[JsonSerializable(typeof(PropsBody))]
[JsonSerializable(typeof(SlotsBody))]
[JsonSerializable(typeof(ModelBody))]
[JsonSerializable(typeof(ModelsBody))]
[JsonSerializable(typeof(TokenizeBody))]
[JsonSerializable(typeof(DetokenizeBody))]
[JsonSerializable(typeof(HealthBody))]
public sealed partial class OpenAiJson : JsonSerializerContext
{
    public static OpenAiJson Context { get; } = new(new JsonSerializerOptions(Json.Style));
}
