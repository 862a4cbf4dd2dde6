using Understory.Models.Tokenizers;
using Understory.Server.Chat;

namespace Understory.Server.Tests.Chat;

public sealed class ChatRendererTests
{
    private const string ChatMl =
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% "
            + "endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}{% if enable_thinking is defined %}{{ 'think' }}{% "
        + "endif %}";

    private static readonly Tokenizer Demo = Tokenizer.Load(Standin.TokenizerFile);
    private static readonly ChatTurn[] Turns =
        [new("system", "Be brief."), new("user", "Hi"), new("assistant", "Hello."), new("user", "Bye")];
    private static readonly Conversation Brief = new() { Turns = Turns };

    [Fact]
    public void Without_a_template_a_chat_is_a_plain_dialogue()
    {
        var format = new ChatRenderer(Demo, null);
        Assert.Equal("Be brief.\n\nuser: Hi\nassistant: Hello.\nuser: Bye\nassistant:", Demo.Decode(format.Prepare(Brief).Prompt));
        Assert.Equal(["\nuser:"], format.Prepare(Brief).Stops);
    }

    [Fact]
    public void The_models_own_template_is_rendered_and_asks_for_an_answer()
    {
        var format = new ChatRenderer(Demo, ChatTemplate.Parse(ChatMl));
        const string Expected =
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n"
            + "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n";
        Assert.Equal(Expected, Demo.Decode(format.Prepare(Brief).Prompt));
        Assert.Equal(Expected + "think", Demo.Decode(format.Prepare(Brief with { Thinking = false }).Prompt));
        Assert.Empty(format.Prepare(Brief).Stops);
    }

    [Fact]
    public void A_conversation_that_the_template_refuses_is_the_clients_fault()
    {
        var format = new ChatRenderer(Demo, ChatTemplate.Parse("{{ raise_exception('Roles must alternate') }}"));
        var refusal = Assert.Throws<ChatException>(() => format.Prepare(Brief));
        Assert.Equal("messages", refusal.Field);
        Assert.Contains("Roles must alternate", refusal.Message);
    }

    [Fact]
    public void A_template_that_cannot_be_used_refuses_chats_and_says_why()
    {
        var refusal = Assert.Throws<ChatException>(() => new ChatRenderer(Demo, null, "line 3: unknown tag").Prepare(Brief));
        Assert.Equal("messages", refusal.Field);
        Assert.Contains("line 3", refusal.Message);
        Assert.Contains("/v1/completions", refusal.Message);
    }
}
