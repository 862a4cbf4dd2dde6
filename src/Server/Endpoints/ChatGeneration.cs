using Understory.Decoding;
using Understory.Server.Chat;
using Understory.Server.Hosting;
using Understory.Server.OpenAi;

namespace Understory.Server.Endpoints;

/// <summary>From a conversation to what the decoding thread takes: the same for every chat API.</summary>
public static class ChatGeneration
{
    /// <summary>Renders and tokenizes.</summary>
    /// <param name="field">The request's field that holds the turns, for errors: "messages", or as the API calls it.</param>
    /// <exception cref="ApiException">400: the conversation cannot be put to this model, or is too long.</exception>
    public static PreparedChat Prepare(ServedModel model, Conversation conversation, string field = "messages")
    {
        if (conversation.Format is not null || conversation.ToolChoice.Mode == ToolChoiceMode.Required)
        {
            string what = conversation.Format?.Field ?? "tool_choice";
            throw ApiException.Invalid(what, $"{what} is not supported by this server; leave it out.", "unsupported_parameter");
        }

        try
        {
            PreparedChat chat = model.Chat.Prepare(conversation);
            return chat with { Prompt = PromptReader.Fit(model, chat.Prompt, field) };
        }
        catch (ChatException e)
        {
            throw new ApiException(400, e.Message, e.Field == "messages" ? field : e.Field, e.Code);
        }
    }

    /// <param name="topLogProbs">As <see cref="GenerationRequest.TopLogProbs"/>.</param>
    public static GenerationJob Job(ServedModel model, PreparedChat chat, GenerationFields fields, int topLogProbs) => new(
    [
        .. PromptReader.Choices(model, chat.Prompt, fields, fields.MaxTokens ?? model.Context, [.. fields.Stop, .. chat.Stops], topLogProbs)
            .Select(request => request with { KeptSpecials = chat.KeptSpecials }),
    ]);
}
