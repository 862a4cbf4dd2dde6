using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.Tests.Chat;

public sealed class PartingPointsTests
{
    /// <summary>Thoughts of earlier turns are left out, as in templates of models that think.</summary>
    private const string Thinking =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% "
            + "endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}";

    private static readonly Tokenizer _demo = Tokenizer.Load(Standin.TokenizerFile);

    [Fact]
    public void Later_prompts_part_at_what_the_last_turn_says_and_where_the_answer_is_written_anew()
    {
        var format = new ChatRenderer(_demo, ChatTemplate.Parse(Thinking));
        var conversation = new Conversation { Turns = [new("system", "Be brief."), new("user", "What is a tree?")] };
        int[] prompt = format.Prepare(conversation).Prompt;
        int[] points = PartingPoints.Of(format, conversation, prompt);
        Assert.Equal(2, points.Length);
        Assert.EndsWith("<|im_start|>user\n", _demo.Decode(prompt.AsSpan(0, points[0])), StringComparison.Ordinal);
        Assert.EndsWith("<|im_end|>\n<|im_start|>assistant\n", _demo.Decode(prompt.AsSpan(0, points[1])), StringComparison.Ordinal);

        // A later turn of the same conversation goes as far as that.
        int[] later = format.Prepare(conversation with
        {
            Turns = [.. conversation.Turns, new("assistant", "A plant."), new("user", "And a bush?")],
        }).Prompt;
        Assert.Equal(points[1], prompt.AsSpan().CommonPrefixLength(later));
    }

    [Fact]
    public void A_template_that_refuses_such_turns_leaves_none()
    {
        const string Refusing = "{% if messages[-1]['content'] != 'Hi' %}{{ raise_exception('only Hi') }}{% endif %}Hi";
        var format = new ChatRenderer(_demo, ChatTemplate.Parse(Refusing));
        var conversation = new Conversation { Turns = [new("user", "Hi")] };
        Assert.Empty(PartingPoints.Of(format, conversation, format.Prepare(conversation).Prompt));
    }
}
