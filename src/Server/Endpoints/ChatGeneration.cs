using Understory.Decoding;
using Understory.Decoding.Constraints;
using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;
using Understory.Server.Wire;

namespace Understory.Server.Endpoints;

/// <summary>From a conversation to what the decoding thread takes: the same for every chat API.</summary>
public static class ChatGeneration
{
    /// <summary>Renders and tokenizes.</summary>
    /// <param name="field">The request's field that holds the turns, for errors: "messages", or as the API calls it.</param>
    /// <exception cref="ApiException">400: the conversation cannot be put to this model, or is too long.</exception>
    public static PreparedChat Prepare(ServedModel model, Conversation conversation, string field = "messages",
        CancellationToken cancellation = default) => Named(field, () =>
    {
        PreparedChat chat = model.Chat.Prepare(conversation, PromptReader.MostCounted(model), cancellation);
        return chat with
        {
            Prompt = PromptReader.Fit(model, chat.Prompt, field),
            PartingPoints = model.IsHybrid ? PartingPoints.Of(model.Chat, conversation, chat.Prompt) : [],
        };
    });

    /// <summary>How many tokens the prompt of a conversation has, whether it fits or not.</summary>
    /// <exception cref="ApiException">400: the conversation cannot be put to this model.</exception>
    public static int Count(ServedModel model, Conversation conversation, string field = "messages") =>
        Named(field, () => model.Chat.Count(conversation));

    /// <summary>What a text without a conversation must keep to; null: nothing.</summary>
    /// <exception cref="ApiException">400: the form cannot be used.</exception>
    public static Constraint? Constrain(ServedModel model, AnswerForm? form, CancellationToken cancellation)
    {
        try
        {
            return form is null ? null : model.Chat.Constrain(form, cancellation);
        }
        catch (ChatException e)
        {
            throw new ApiException(400, e.Message, e.Field, e.Code);
        }
    }

    /// <param name="topLogProbs">As <see cref="GenerationRequest.TopLogProbs"/>.</param>
    /// <param name="prediction">The answer as it is expected; null: unknown.</param>
    public static GenerationJob Job(ServedModel model, PreparedChat chat, GenerationFields fields, int topLogProbs,
        string? prediction = null) => new(
    [
        .. PromptReader.Choices(model, chat.Prompt, fields, fields.MaxTokens ?? model.Context, fields.Stop, topLogProbs)
            .Select(request => chat.In(request) with
            {
                Prediction = string.IsNullOrEmpty(prediction) ? null : model.Tokenizer.Encode(prediction, addSpecialTokens: false),
            }),
    ]);

    /// <summary>What cannot be put to the model is told of the API's own field.</summary>
    private static T Named<T>(string field, Func<T> make)
    {
        try
        {
            return make();
        }
        catch (ChatException e)
        {
            throw new ApiException(400, e.Message, e.Field == "messages" ? field : e.Field, e.Code);
        }
    }
}
