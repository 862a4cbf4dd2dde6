using Understory.Models.Architecture;
using Understory.Models.Tokenizers;
using Understory.Server.Hosting;

namespace Understory.Training.Drafting;

/// <summary>
/// What is put in a model's mouth while it writes texts of its own: the tokens that a text begins with, and those that stand in the place
/// of each end that it comes to. With a chat template it writes both sides of a conversation, so that the texts are such as it will be
/// asked for.
/// </summary>
/// <param name="Openings">In turn: the first opens a sample, the next one follows the first end, and so on round and round.</param>
internal sealed record TextScript(IReadOnlyList<int[]> Openings)
{
    private const string Mark = "\u2402message\u2402";

    /// <summary>Whole documents: each begins as a text does.</summary>
    public static TextScript Documents(LanguageModel model)
    {
        int start = model.Tokenizer.BosId ?? model.Config.BosTokenId ?? model.Tokenizer.EosId ?? (model.Config.EosTokenIds is [int end, ..]
            ? end : throw new TrainingException($"'{model.Path}' names no token that a text begins with (bos_token_id)."));
        return new TextScript([[start]]);
    }

    /// <summary>Conversations; null: there is no template, or it cannot be cut at what a user says.</summary>
    public static TextScript? Conversations(LanguageModel model)
    {
        try
        {
            if (ModelLoading.ReadTemplate(model.Path) is not { } template)
            {
                return null;
            }

            string text = template.Render(new Dictionary<string, object?>
            {
                ["messages"] = new List<object?> { new Dictionary<string, object?> { ["role"] = "user", ["content"] = Mark } },
                ["add_generation_prompt"] = true,
                ["bos_token"] = template.BosToken ?? "",
                ["eos_token"] = template.EosToken ?? "",
            });
            if (text.Split(Mark) is not [{ Length: > 0 } before, { Length: > 0 } behind])
            {
                return null;
            }

            return new TextScript([model.Tokenizer.Bare.Encode(before), model.Tokenizer.Bare.Encode(behind)]);
        }
        catch (Exception e) when (e is InvalidDataException or ChatTemplateException)
        {
            return null;
        }
    }
}
